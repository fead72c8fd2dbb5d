"""Cleans the values that a service gets."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from proxy.asking import Asked, Asking, Inside, PatientAsker, Pending, ask_through
from proxy.config.listing import ONE_OR_MANY
from proxy.config.units import Size
from proxy.content.charset import codec_of
from proxy.content.json import JsonError, strings
from proxy.content.parameter import check_pattern, compile_pattern
from proxy.contract import Handler, PolicyOptions, PolicySpec, Request, Response, Toolkit, Written
from proxy.entity import read_entity
from proxy.errors import Refused
from proxy.http1.headers import encode
from proxy.policies.sanitize.cleaning import Cleaner
from proxy.policies.sanitize.rewriting import clean_json, clean_pairs

_PLACES: Final = ("query", "form", "json")
_CHANGES: Final = (
    "unicode", "controls", "invisible", "confusables", "lines", "collapse", "trim", "allowed",
    "length", "unknown", "repeated",
)  # fmt: skip
# They describe the body as it came.
_OF_THE_BODY: Final = frozenset({
    "content-encoding", "content-md5", "content-digest", "repr-digest", "digest",
})  # fmt: skip
_TOLD_MAX: Final = 8
_NAME_MAX: Final = 64


def _parameter(text: str) -> str:
    return check_pattern(text, _PLACES)


def _characters(text: str) -> str:
    if not text.startswith("[") or not text.endswith("]") or text.startswith("[^"):
        raise ValueError(f"{text!r}: write allowed characters in brackets, as in [a-z0-9 '-]")
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no set of characters: {error}") from None
    return text


_Parameter = Annotated[str, AfterValidator(_parameter)]


class Steps(Written):
    """What may be done to a value."""

    unicode: Literal["nfc", "nfkc", "none"] | None = None
    """The normal form of Unicode that texts are put into."""
    controls: Literal["strip", "keep"] | None = None
    """Control characters, but for tabs and line ends."""
    invisible: Literal["strip", "keep"] | None = None
    """Characters that can't be seen, or turn the direction of text."""
    confusables: Literal["fold", "keep"] | None = None
    """Letters of other scripts within Latin words, and Latin ones in disguise, made Latin."""
    lines: Literal["keep", "join"] | None = None
    """Line ends; `join` makes them blanks."""
    collapse: bool | None = None
    """Whether several blanks become one."""
    trim: bool | None = None
    """Whether blanks at either end go."""


class Special(Steps):
    """What is done to some parameters in another way than to all."""

    parameter: _Parameter
    """`query:NAME`, `form:NAME` or `json:/POINTER`. A `*` stands for any characters but
    slashes, `**` for any. The first entry that fits counts."""
    allowed: Annotated[str, AfterValidator(_characters)] | None = None
    """Characters that may stay, in brackets as in a regular expression: `[\\w '-]`."""
    max_length: int | None = Field(default=None, ge=1)
    """Most characters; the rest is cut off."""


class Options(PolicyOptions):
    """Clean the values of queries, forms and JSON before the service gets them.

    By default texts are put into one form of Unicode (NFC), lose control characters, what
    can't be seen and blanks at their ends; nothing else. Values that were clean are sent as
    they came, byte for byte. What was changed stands in the access line's `details`, and is
    counted. Forms in parts, names and the path are left alone; `validate` can refuse them.
    Of a name that is given twice in one JSON object the last stays, since services differ in
    which one they take.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"collapse": True},
                {
                    "fields": [
                        {
                            "parameter": "json:/name",
                            "lines": "join",
                            "collapse": True,
                            "allowed": "[\\w .'-]",
                            "max_length": 80,
                        },
                        {"parameter": "json:/bio", "trim": False},
                    ],
                    "known": ["json:/name", "json:/bio", "query:page"],
                },
            ]
        }
    )

    unicode: Literal["nfc", "nfkc", "none"] = "nfc"
    """The normal form of Unicode that texts are put into."""
    controls: Literal["strip", "keep"] = "strip"
    """Control characters, but for tabs and line ends."""
    invisible: Literal["strip", "keep"] = "strip"
    """Characters that can't be seen, or turn the direction of text. Joiners stay."""
    confusables: Literal["fold", "keep"] = "keep"
    """Letters of other scripts within Latin words, and Latin ones in disguise, made Latin."""
    lines: Literal["keep", "join"] = "keep"
    """Line ends; `join` makes them blanks."""
    collapse: bool = False
    """Whether several blanks become one."""
    trim: bool = True
    """Whether blanks at either end go."""
    fields: tuple[Special, ...] = ()
    """What is done to some parameters in another way."""
    known: Annotated[tuple[_Parameter, ...], ONE_OR_MANY] = ()
    """Parameters that the service knows; others of the same places are left out. Empty: all
    stay. An object or a list of JSON is known if anything below it may be."""
    buffer: Size = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Length of a JSON body or a form, which are held in memory; 413 `body_too_large`."""
    unreadable: Literal["refuse", "pass"] = "refuse"
    """Bodies that say they are JSON or a form and can't be read as such, so that they can't be
    cleaned: malformed (400 `malformed_body`), or in another charset or an unknown content coding
    (415 `unsupported_media_type`)."""

    @model_validator(mode="after")
    def _does_something(self) -> Options:
        names = [field.parameter for field in self.fields]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise ValueError(f"{name} is listed twice under `fields`; the first counts")
        return self


class Sanitize:
    """A wrapper, as it waits for bodies. Clean requests cost one look at each value."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._shadow = options.mode == "shadow"
        self._buffer = options.buffer
        self._lenient = options.unreadable == "pass"
        self._default = _cleaner(options, None)
        self._fields = tuple(
            (compile_pattern(row.parameter), _cleaner(options, row)) for row in options.fields
        )
        self._known = tuple(map(compile_pattern, options.known))
        # Where every value is treated alike, its place need not be found out.
        self._simple = not options.fields and not options.known
        places = {name.partition(":")[0] for name in options.known}
        self._closed = frozenset(_PLACES if "*" in places else places)
        self._counters = {
            change: toolkit.metrics.counter(
                "sidegate_sanitized_values_total",
                "Values that were cleaned, or would have been, by what was done to them.",
                route=toolkit.route,
                change=change,
            )
            for change in _CHANGES
        }

    def wrap(self, forward: Handler) -> Handler:
        """A handler that forwards clean values."""
        return Asking(self.ask, forward)

    def ask(self, request: Request, inside: Inside, asker: PatientAsker | None) -> Asked | Pending:
        """Ask `inside` with clean values; only bodies are waited for."""
        if request.failure is None:
            if request.body:
                return self._clean_all(request, inside)
            if request.query:
                visit = self._visit()
                self._note(request, visit, clean_pairs("query", request.query, visit), None)
        return ask_through(self, None, inside, request, asker)

    def answered(self, ticket: None, request: Request, response: Response) -> Response:
        """The answer goes on as it is."""
        return response

    def failed(self, ticket: None, request: Request, error: BaseException) -> Response:
        """So does a failure."""
        raise error

    async def _clean_all(self, request: Request, inside: Inside) -> Response:
        """The body too."""
        visit = self._visit()
        query = clean_pairs("query", request.query, visit) if request.query else ""
        self._note(request, visit, query, await self._body(request, visit))
        return await inside.ask(request)

    def _visit(self) -> _Visit:
        return _Visit(self._default, self._fields, self._known, self._closed)

    def _note(self, request: Request, visit: _Visit, query: str, body: bytes | None) -> None:
        """Forward clean values, if any wasn't. body: the clean one; None if it stays."""
        if not visit.told:
            return
        for changes in visit.told.values():
            for change in changes:
                self._counters[change].inc()
        if self._shadow:
            request.decide("sanitize", "would_change", str(visit))
            return
        request.decide("sanitize", "changed", str(visit))
        if query != request.query:
            path = request.target.partition(b"?")[0]
            request.query = query
            request.target = path + b"?" + encode(query) if query else path
        if body is not None:
            request.body, request.length = body, len(body)
            request.headers.drop(_OF_THE_BODY)

    async def _body(self, request: Request, visit: _Visit) -> bytes | None:
        """The body with clean values; None if it is clean, or is nothing to be cleaned."""
        kind = (request.headers.get("content-type") or "").lower()
        if "json" not in kind and "x-www-form-urlencoded" not in kind:
            return None
        entity = await read_entity(request, self._buffer)
        media = entity.media
        if media is not None and not (media.is_json or media.is_form):
            return None
        if media is None or entity.coding or codec_of(media.parameters.get("charset", "")):
            self._refuse_unreadable(request, "unsupported_media_type")
            return None
        if not entity.whole:
            self._refuse(request, "body_too_large")
            return None
        if media.is_form:
            text = entity.data.decode("utf-8", "surrogateescape")
            cleaned = encode(clean_pairs("form", text, visit))
        else:
            try:
                value = entity.json()
                if self._simple and all(
                    map(self._default.is_plain, strings(entity.data.decode(), value))
                ):
                    return None
                cleaned = clean_json(entity.data, value, visit)
            except JsonError:
                self._refuse_unreadable(request, "malformed_body")
                return None
            except RecursionError:
                self._refuse(request, "body_too_complex")
                return None
        return None if cleaned == entity.data else cleaned

    def _refuse_unreadable(self, request: Request, code: str) -> None:
        if not self._lenient:
            self._refuse(request, code)

    def _refuse(self, request: Request, code: str) -> None:
        """What can't be cleaned doesn't go on as if it were clean."""
        request.decide("sanitize", "would_refuse" if self._shadow else "refused", code)
        if not self._shadow:
            raise Refused(code)


class _Visit:
    """The values of one request. told: what was done, by parameter."""

    __slots__ = ("_closed", "_default", "_fields", "_known", "told")

    def __init__(
        self,
        default: Cleaner,
        fields: tuple[tuple[re.Pattern[str], Cleaner], ...],
        known: tuple[re.Pattern[str], ...],
        closed: frozenset[str],
    ) -> None:
        self._default = default
        self._fields = fields
        self._known = known
        self._closed = closed
        self.told: dict[str, set[str]] = {}

    def keeps(self, parameter: str) -> bool:
        """Whether it is known, or nobody has said what is."""
        return parameter.partition(":")[0] not in self._closed or any(
            pattern.fullmatch(parameter) for pattern in self._known
        )

    def clean(self, parameter: str, text: str) -> str:
        """Its clean text."""
        cleaner = self._default
        for pattern, special in self._fields:
            if pattern.fullmatch(parameter):
                cleaner = special
                break
        changes: set[str] = set()
        cleaned = cleaner.clean(text, changes)
        if changes:
            self.told.setdefault(parameter, set()).update(changes)
        return cleaned

    def drop(self, parameter: str) -> None:
        """It is left out."""
        self.told.setdefault(parameter, set()).add("unknown")

    def repeat(self, parameter: str) -> None:
        """It was given twice, and the last stays."""
        self.told.setdefault(parameter, set()).add("repeated")

    def __str__(self) -> str:
        return "; ".join(
            f"{parameter[:_NAME_MAX]} {' '.join(sorted(changes))}"
            for parameter, changes in list(self.told.items())[:_TOLD_MAX]
        )


def _cleaner(options: Options, field: Special | None) -> Cleaner:
    def chosen(name: str) -> Any:
        own = None if field is None else getattr(field, name)
        return getattr(options, name) if own is None else own

    allowed = None if field is None else field.allowed
    return Cleaner(
        form=chosen("unicode"),
        controls=chosen("controls") == "strip",
        invisible=chosen("invisible") == "strip",
        confusables=chosen("confusables") == "fold",
        lines=chosen("lines") == "keep",
        collapse=chosen("collapse"),
        trim=chosen("trim"),
        forbidden=None if allowed is None else re.compile(f"[^{allowed[1:]}"),
        length=(field.max_length or 0) if field is not None else 0,
    )


POLICY = PolicySpec(
    "sanitize",
    Options,
    Sanitize,
    after={
        "error_envelope", "ip_filter", "bots", "hosts", "methods", "csrf", "rate_limit", "validate",
    },
    before={"shield", "cache", "redirect", "respond", "rewrite"},
)  # fmt: skip
