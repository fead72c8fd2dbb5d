"""Field values that are lists (RFC 9110, 5.6.1): members, and commas inside quotes. Pure."""

from __future__ import annotations

import re
from typing import Final

_OWS: Final = " \t"
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def split_members(text: str) -> tuple[list[str], bool]:
    """The members of a list, without blanks around them and without empty ones.

    The second value is False when a quote isn't closed; what follows it is then parted at
    every comma, so that nothing can hide behind it.
    """
    if '"' not in text:
        return [member for part in text.split(",") if (member := part.strip(_OWS))], True
    members: list[str] = []
    begin = place = 0
    while place < len(text):
        mark = text[place]
        if mark == ",":
            members.append(text[begin:place])
            begin = place = place + 1
        elif mark == '"':
            quoted = _QUOTED.match(text, place)
            if quoted is None:
                members += text[begin:].split(",")
                return [member for part in members if (member := part.strip(_OWS))], False
            place = quoted.end()
        else:
            place += 1
    members.append(text[begin:])
    return [member for part in members if (member := part.strip(_OWS))], True


def unquote(text: str) -> str | None:
    """What a quoted string says (RFC 9110, 5.6.4); None when it is none."""
    if _QUOTED.fullmatch(text) is None:
        return None
    return _ESCAPED.sub(r"\1", text[1:-1])
