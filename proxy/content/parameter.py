"""Parameters of requests by name, as policies are told of them: `query:page`, `json:/items/*`.

A place, a colon and a name; `json` has pointers (RFC 6901) for names. In a pattern `*` stands
for any characters but slashes, `**` for any. Pure.
"""

from __future__ import annotations

import re
from typing import Final

PLACES: Final = ("path", "query", "header", "cookie", "form", "json", "text", "file")
_NAMELESS: Final = ("path", "text")


def check_pattern(text: str, places: tuple[str, ...] = PLACES) -> str:
    """A pattern that a user wrote. Raises ValueError with the fix in words."""
    place, colon, name = text.partition(":")
    if place != "*" and place not in places:
        written = [
            f"{row}:/POINTER" if row == "json" else row if row in _NAMELESS else f"{row}:NAME"
            for row in places
        ]
        raise ValueError(f"{text!r} begins with no place; write {', '.join(written)} or *")
    if place in _NAMELESS and colon:
        raise ValueError(f"{text!r}: {place} has no names; write it alone")
    if place not in (*_NAMELESS, "*") and not name:
        raise ValueError(f"{text!r}: name the parameter, or write {place}:** for all of them")
    return text


def compile_pattern(text: str) -> re.Pattern[str]:
    """Matches `place:name` of the parameters that are meant, wholly."""
    place, _, name = text.partition(":")
    if place == "*" and not name:
        name = "**"
    parts = ["[a-z]+" if place == "*" else re.escape(place), ":"]
    for part in re.split(r"(\*\*?)", name):
        parts.append({"*": "[^/]*", "**": ".*"}.get(part, re.escape(part)))
    return re.compile("".join(parts), re.DOTALL)
