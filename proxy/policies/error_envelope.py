"""The one place where failures become responses: nothing else builds an error body.

May live here: which failures are answered and in which form. Must not live here: what a
failure is (see `errors`), or anything internal in what a client gets.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from html import escape
from typing import Any, Final, Literal

import orjson
from pydantic import ConfigDict

from proxy.contract import PolicyOptions, PolicySpec, Request, Response, Toolkit
from proxy.errors import CODES, Aborted, GatewayError, Violation
from proxy.http1.headers import Headers
from proxy.http1.negotiation import Format, choose_format
from proxy.http1.status import REASONS
from proxy.memo import Memo
from proxy.timestamp import make_timestamp

# Fields that describe the body that is replaced, or how long it may be kept.
_OF_THE_BODY: Final = frozenset({
    "accept-ranges", "age", "cache-control", "content-digest", "content-disposition",
    "content-encoding", "content-language", "content-location", "content-md5", "content-range",
    "content-type", "digest", "etag", "expires", "last-modified", "link", "pragma",
    "repr-digest",
})  # fmt: skip
# A body that may be an envelope already is read up to here to find out.
_ENVELOPE_MAX: Final = 16 * 1024
# How many sets of fields are remembered: they hold times to wait, which change by the second.
_FIELDS_MAX: Final = 256
_FORMS_MAX: Final = 256
_ACCEPT_MAX: Final = 256
_ENVELOPE_KEYS: Final = frozenset({"error", "detail", "status", "request_id"})
_TYPES: Final = {
    "json": "application/json",
    "problem": "application/problem+json",
    "html": "text/html; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}


class Options(PolicyOptions):
    """Give every error the same form: code, sentence, status, time, path and request ID.

    JSON unless the client's Accept field prefers HTML (a plain page) or text (a line).
    Sidegate's own errors are answered in `shadow` mode as well, since somebody has to
    answer them; upstream's errors then pass as they are and are only noted.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"format": "problem"}, {"upstream": "always"}]}
    )

    format: Literal["json", "problem"] = "json"
    """`json` is the house format; `problem` is RFC 9457, `application/problem+json`."""
    upstream: Literal["never", "non_json", "always"] = "non_json"
    """Which errors of the service are put into the envelope, with status and most fields kept:
    none; those of 500 and above whose body isn't JSON; or all of 400 and above that aren't
    an envelope already.
    """


class ErrorEnvelope:
    """Turns failures, and errors of the upstream, into envelopes."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._problem = options.format == "problem"
        self._always = options.upstream == "always"
        self._least = {"never": 600, "non_json": 500, "always": 400}[options.upstream]
        self._shadow = options.mode == "shadow"
        self._timestamp = make_timestamp(toolkit.wall)
        self._fields: Memo[tuple[str, tuple[tuple[str, str], ...]], Headers] = Memo(_FIELDS_MAX)
        # By the line that says what a client prefers.
        self._forms: Memo[bytes | None, Format] = Memo(_FORMS_MAX)
        self._log = toolkit.log

    def replace(self, request: Request, response: Response) -> Response | Awaitable[Response]:
        """The upstream's error as an envelope, if it is one that this is asked to replace."""
        if response.status < self._least or response.origin != "upstream":
            return response
        return self._replaced(request, response)

    def rescue(self, request: Request, error: Exception) -> Response:
        """An envelope of whatever failed; raises nothing but `Aborted`."""
        if isinstance(error, Aborted):
            raise error
        if isinstance(error, GatewayError):
            return self._of_error(request, error)
        return self._of_exception(request, error)

    def _of_error(self, request: Request, error: GatewayError) -> Response:
        # Without a cause the access line tells all there is.
        if error.cause:
            note = self._log.debug if error.fault == "client" else self._log.warning
            note(
                "request failed",
                error=error.code,
                cause=error.cause,
                route=request.route.name,
                request_id=request.id,
            )
        status, code = error.status, error.code
        form, body = self._body(request, status, code, error.detail, error.violations)
        headers = self._fields_of(form, error.headers)
        response = _respond(request, status, code, headers, body)
        response.close = error.close
        return response

    def _fields_of(self, form: str, headers: tuple[tuple[str, str], ...]) -> Headers:
        """The fields of an envelope that has these besides. Many refusals have the same."""
        known = self._fields.get((form, headers))
        if known is None:
            known = Headers()
            _describe(known, form)
            for name, value in headers:
                known.add(name, value)
            self._fields[form, headers] = known
        return known.copy()

    def _of_exception(self, request: Request, error: Exception) -> Response:
        self._log.error(
            "unexpected exception",
            exception_class=type(error).__name__,
            raised_at=_place(error),
            route=request.route.name,
            request_id=request.id,
        )
        self._log.debug("traceback", exc_info=error, request_id=request.id)
        row = CODES["internal_error"]
        return self._envelope(request, row.status, "internal_error", row.detail, Headers())

    async def _replaced(self, request: Request, response: Response) -> Response:
        """The upstream's error as an envelope, or as it is when that will do."""
        media = (response.headers.get("content-type") or "").partition(";")[0].strip().lower()
        is_json = media == "application/json" or media.endswith("+json")
        if is_json and (not self._always or await self._is_envelope(media, response)):
            return response
        if self._shadow:
            request.decide("error_envelope", "would_change", f"upstream {response.status} {media}")
            return response
        aclose = getattr(response.body, "aclose", None)
        if aclose is not None:
            with suppress(GatewayError):
                await aclose()
        code = "upstream_error" if response.status >= 500 else "upstream_refused"
        headers = response.headers
        headers.drop(_OF_THE_BODY)
        made = self._envelope(request, response.status, code, CODES[code].detail, headers)
        made.close = response.close
        return made

    async def _is_envelope(self, media: str, response: Response) -> bool:
        """Whether a JSON body has the house's form; reads it when it is short enough."""
        if self._problem:
            return media == "application/problem+json"
        if "content-encoding" in response.headers:
            return False
        if not isinstance(response.body, bytes):
            if response.length is None or response.length > _ENVELOPE_MAX:
                return False
            response.body = b"".join([piece async for piece in response.body])
        try:
            value = orjson.loads(response.body)
        except orjson.JSONDecodeError:
            return False
        return isinstance(value, dict) and value.keys() >= _ENVELOPE_KEYS

    def _learn_form(self, request: Request, accept: bytes | None) -> Format:
        form = choose_format(request.headers.get("accept"))
        if accept is None or len(accept) <= _ACCEPT_MAX:
            self._forms[accept] = form
        return form

    def _envelope(
        self,
        request: Request,
        status: int,
        code: str,
        detail: str,
        headers: Headers,
    ) -> Response:
        form, body = self._body(request, status, code, detail)
        _describe(headers, form)
        return _respond(request, status, code, headers, body)

    def _body(
        self,
        request: Request,
        status: int,
        code: str,
        detail: str,
        violations: tuple[Violation, ...] = (),
    ) -> tuple[str, bytes]:
        """In the form that the client prefers."""
        path = request.path
        facts: dict[str, Any] = {
            "error": code,
            "detail": detail if detail.isascii() else _sound(detail),
            "status": status,
            "timestamp": self._timestamp(),
            "path": path if path.isascii() else _sound(path),
            "request_id": request.id,
        }
        if violations:
            facts["errors"] = [
                {"in": place, "pointer": _sound(pointer), "detail": _sound(text)}
                for place, pointer, text in violations
            ]
        accept = request.headers.lines.get("accept")
        form: str = self._forms.get(accept) or self._learn_form(request, accept)
        if form == "html":
            body = _page(facts)
        elif form == "text":
            body = _line(facts)
        elif self._problem:
            form = "problem"
            title = REASONS.get(status, "Error")
            body = orjson.dumps({"type": "about:blank", "title": title, **facts})
        else:
            body = orjson.dumps(facts)
        return form, body


def _describe(headers: Headers, form: str) -> None:
    headers.set("Content-Type", _TYPES[form])
    headers.set("Cache-Control", "no-store")


def _respond(request: Request, status: int, code: str, headers: Headers, body: bytes) -> Response:
    length = len(body)
    # RFC 9110, 9.3.2: HEAD has the fields that GET would have, and no body.
    sent = b"" if request.method == "HEAD" else body
    response = Response(status, headers, sent, length=length)
    response.error = code
    return response


def _sound(text: str) -> str:
    """Text that JSON can carry: bytes that weren't UTF-8 become question marks."""
    return text.encode("utf-8", "replace").decode()


def _place(error: Exception) -> str:
    """`file:line` where it was raised."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _line(facts: dict[str, Any]) -> bytes:
    title = REASONS.get(facts["status"], "Error")
    request_id = f", request {facts['request_id']}" if facts["request_id"] else ""
    lines = [f"{facts['status']} {title}: {facts['detail']} ({facts['error']}{request_id})"]
    lines += [f"- {row['in']} {row['pointer']}: {row['detail']}" for row in facts.get("errors", ())]
    return "\n".join([*lines, ""]).encode()


# No style sheet of its own: a strict Content-Security-Policy would refuse it, and the
# browser's default is readable and follows the colour scheme.
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{status} {title}</title>
</head>
<body>
<main>
<h1>{status} {title}</h1>
<p>{detail}</p>
<dl>
<dt>Error</dt><dd><code>{error}</code></dd>
<dt>Path</dt><dd><code>{path}</code></dd>
<dt>Time</dt><dd><time datetime="{timestamp}">{timestamp}</time></dd>
<dt>Request</dt><dd><code>{request_id}</code></dd>
</dl>
{errors}</main>
</body>
</html>
"""


def _page(facts: dict[str, Any]) -> bytes:
    shown = {name: escape(str(value)) for name, value in facts.items()}
    rows = "".join(
        f"<li>{escape(row['in'])} <code>{escape(row['pointer'])}</code>: {escape(row['detail'])}\n"
        for row in facts.get("errors", ())
    )
    shown["errors"] = f"<ul>\n{rows}</ul>\n" if rows else ""
    return _PAGE.format(title=escape(REASONS.get(facts["status"], "Error")), **shown).encode()


POLICY = PolicySpec(
    "error_envelope",
    Options,
    ErrorEnvelope,
    after={"headers", "request_id", "security_headers", "trace_context"},
    default=True,
)
