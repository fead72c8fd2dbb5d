"""Texts with places for facts of a request: `/users/{path.id}`, `{client_ip}`.

A text is compiled once, with unknown names as errors; rendering joins strings. `{{` and
`}}` stand for braces.

The rule for hostile values: a fact is escaped for the place it goes to, never trusted. In
a header field, control characters and broken surrogates are removed, so no value can end
its line. In a URL they are removed as well, and all that would end a path segment's text,
or in a query a parameter, is percent-encoded; a slash inside a capture stays a slash. A
capture that the route doesn't have is empty.

Pure; knows requests only as `Facts`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from operator import attrgetter
from typing import Any, Final, Literal, Protocol
from urllib.parse import quote

from proxy.http1.certificate import CERTIFICATE, PARTS

Place = Literal["field", "url"]
Reader = Callable[["Facts"], str]

_TEXT_MAX: Final = 8192
_TOKENS: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
_CAPTURE: Final = re.compile(r"path\.([A-Za-z_][A-Za-z0-9_]*)").fullmatch
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udc7f\udd00-\udfff]")
_ESCAPES: Final = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_NOT_HOST: Final = re.compile(r"[^A-Za-z0-9._~:\[\]-]")
# RFC 3986: pchar and the slash; in a query, without what parts parameters.
_PATH_SAFE: Final = "/:@!$&'()*+,;=~-._"
_QUERY_SAFE: Final = "/:@!$'()*,;~-._"
_LITERAL_SAFE: Final = "/:@!$&'()*+,;=~-._?#%[]"


class Facts(Protocol):
    """What a template may ask of a request; `contract.Request` is one."""

    @property
    def id(self) -> str:
        """The request ID."""
        ...

    @property
    def client_ip(self) -> str:
        """The client's address."""
        ...

    @property
    def host(self) -> str:
        """The host asked for, without port."""
        ...

    @property
    def scheme(self) -> str:
        """`http` or `https`, as the client used it."""
        ...

    @property
    def method(self) -> str:
        """The method."""
        ...

    @property
    def path(self) -> str:
        """The decoded path."""
        ...

    @property
    def captures(self) -> Mapping[str, str]:
        """Path captures by name."""
        ...

    @property
    def state(self) -> Mapping[str, Any]:
        """What was noted on the request; under `CERTIFICATE` the client's."""
        ...


def _certificate_reader(part: str) -> Reader:
    def read(facts: Facts) -> str:
        certificate = facts.state.get(CERTIFICATE)
        return "" if certificate is None else str(certificate.part(part))

    return read


_READERS: Final[dict[str, Reader]] = {
    "request_id": attrgetter("id"),
    "client_ip": attrgetter("client_ip"),
    "host": attrgetter("host"),
    "scheme": attrgetter("scheme"),
    "method": attrgetter("method"),
    "path": attrgetter("path"),
    **{f"certificate.{part}": _certificate_reader(part) for part in PARTS},
}


class Template:
    """A compiled text; call it with a request. Raises ValueError, with the fix, when made.

    place: where the result goes, a header `field` or a `url`, which decides the escapes.
    constant: the whole text when it has no places, else None. names: those it mentions.
    """

    __slots__ = ("_parts", "constant", "names")

    def __init__(self, text: str, place: Place = "field") -> None:
        if len(text) > _TEXT_MAX:
            raise ValueError(f"a template of {len(text)} characters; at most {_TEXT_MAX} go")
        if _CONTROLS.search(text):
            raise ValueError(f"{text!r} holds a control character; a template is one line")
        parts: list[str | Reader] = []
        names: list[str] = []
        literal = before = ""
        for part in _TOKENS.finditer(text):
            token, name = part[0], part[1]
            if name is not None:
                if literal:
                    parts.append(literal)
                before += literal
                literal = ""
                names.append(name)
                parts.append(_guarded(_reader(name, text), name, place, before))
            elif token in ("{", "}"):
                raise ValueError(
                    f"{text!r}: the brace at character {part.start() + 1} has no partner; "
                    "write {{ or }} for a brace itself"
                )
            else:
                literal += _literal({"{{": "{", "}}": "}"}.get(token, token), place)
        if literal:
            parts.append(literal)
        self._parts = tuple(parts)
        self.names = tuple(names)
        self.constant = None if names else literal

    def __call__(self, facts: Facts) -> str:
        """The text for this request."""
        if self.constant is not None:
            return self.constant
        return "".join([part if isinstance(part, str) else part(facts) for part in self._parts])


def check_template(text: str) -> str:
    """Return `text`, or raise ValueError when it is no template for a header field."""
    Template(text)
    return text


def in_field(value: str) -> str:
    """A value without control characters, which would end or forge a field line."""
    if value.isascii() and value.isprintable():
        return value
    return _CONTROLS.sub("", value)


def in_path(value: str) -> str:
    """A value percent-encoded for a URL's path; slashes stay."""
    return quote(in_field(value), safe=_PATH_SAFE, errors="surrogateescape")


def in_query(value: str) -> str:
    """A value percent-encoded as a name or value of a query parameter."""
    return quote(in_field(value), safe=_QUERY_SAFE, errors="surrogateescape")


def _reader(name: str, text: str) -> Reader:
    reader = _READERS.get(name)
    if reader is not None:
        return reader
    capture = _CAPTURE(name)
    if capture is None:
        known = [*_READERS, "path.NAME"]
        near = ["path.NAME"] if name.startswith("path.") else get_close_matches(name, known, n=1)
        fix = f"did you mean {{{near[0]}}}?" if near else f"known are {', '.join(known)}"
        raise ValueError(f"{text!r}: nothing is called {{{name}}}; {fix}")
    key = capture[1]
    return lambda facts: facts.captures.get(key, "")


def _guarded(read: Reader, name: str, place: Place, before: str) -> Reader:
    """The reader with the escape of its place; `before` is the literal text ahead of it."""
    escape: Callable[[str], str]
    if place == "field":
        escape = in_field
    elif "?" in before or "#" in before:
        escape = in_query
    elif name == "host":
        escape = _in_authority
    elif name == "path":
        escape = _whole_path
    else:
        escape = in_path
    return lambda facts: escape(read(facts))


def _in_authority(value: str) -> str:
    return _NOT_HOST.sub("", value)


def _whole_path(value: str) -> str:
    """A path that begins with exactly one slash: two would name a host in a redirect."""
    return "/" + in_path(value).lstrip("/")


def _literal(text: str, place: Place) -> str:
    if place == "field":
        return text
    if _ESCAPES(text):
        raise ValueError(f"{text!r}: a percent sign needs two hexadecimal digits; write %25")
    return quote(text, safe=_LITERAL_SAFE)
