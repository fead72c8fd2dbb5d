"""The Content-Type field (RFC 9110, 8.3): which kind of body it announces. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - the grammar's word, no secret
_TYPE: Final = re.compile(rf"({_TOKEN}/{_TOKEN})[ \t]*(?=;|$)")
_PARAMETER: Final = re.compile(
    rf';[ \t]*(?:({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*"))?[ \t]*(?=;|$)', re.DOTALL
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_LENGTH_MAX: Final = 1024
_MEMORY_MAX: Final = 256
_MEMORY: dict[str, Media | None] = {}


class Media(NamedTuple):
    """A media type. name: `type/subtype` in lower case. parameters: by lower-case name."""

    name: str
    parameters: dict[str, str]

    @property
    def is_json(self) -> bool:
        """Whether the body is one JSON text (RFC 8259; suffixes by RFC 6839)."""
        return self.name in ("application/json", "text/json") or self.name.endswith("+json")

    @property
    def is_form(self) -> bool:
        """Whether the body is a form as browsers send it by default."""
        return self.name == "application/x-www-form-urlencoded"

    @property
    def is_multipart(self) -> bool:
        """Whether the body is a form in parts, files included (RFC 7578)."""
        return self.name == "multipart/form-data"

    @property
    def is_text(self) -> bool:
        """Whether people could read the body."""
        return self.name.startswith("text/") or self.name.endswith(("/xml", "+xml", "/graphql"))


def read_media(value: str | None) -> Media | None:
    """The media type of a Content-Type value; None when there is none or it is malformed.

    A parameter that is given twice is malformed: readers differ in which they take.
    """
    if value is None:
        return None
    if value in _MEMORY:
        return _MEMORY[value]
    media = _read(value) if len(value) <= _LENGTH_MAX else None
    # Boundaries of multipart bodies are new each time.
    if len(value) <= 64 and len(_MEMORY) < _MEMORY_MAX:
        _MEMORY[value] = media
    return media


def _read(value: str) -> Media | None:
    match = _TYPE.match(value)
    if match is None:
        return None
    parameters: dict[str, str] = {}
    place = match.end()
    while place < len(value):
        found = _PARAMETER.match(value, place)
        if found is None:
            return None
        place = found.end()
        if found[1] is None:
            continue
        name, text = found[1].lower(), found[2]
        if name in parameters:
            return None
        parameters[name] = _ESCAPE.sub(r"\1", text[1:-1]) if text[0] == '"' else text
    return Media(match[1].lower(), parameters)
