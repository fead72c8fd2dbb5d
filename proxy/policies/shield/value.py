"""A text of a request, and how texts of one kind are read further.

May live here: what every part of a request shares. Must not live here: where texts stand in
a request (`inspection`) or in its body (`bodies`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import orjson

from proxy.content.form import Pair
from proxy.content.json import loose_strings, strings

_NESTED_MAX: Final = 2


class Value(NamedTuple):
    """A text of the request. place: as in rules. name: the parameter's, or a JSON pointer."""

    place: str
    name: str
    text: str


def nested(text: str) -> list[str]:
    """The strings of a value that is a JSON text itself; and so again, within bounds."""
    found: list[str] = []
    waiting = [text] if _is_nest(text) else []
    for _ in range(_NESTED_MAX):
        inner = [row for outer in waiting for row in _strings(outer)]
        found += inner
        waiting = [row for row in inner if _is_nest(row)]
    return found


def _is_nest(text: str) -> bool:
    return '"' in text and text.lstrip()[:1] in ("{", "[")


def _strings(text: str) -> list[str]:
    try:
        orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return loose_strings(text)
    return strings(text)


def joined(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Names that are given several times, each with all its values in one: some services join
    them with commas, so that an attack may be spread over them."""
    gathered: dict[str, list[str]] = {}
    for name, text in pairs:
        gathered.setdefault(name, []).append(text)
    for name, values in gathered.items():
        if len(values) > 1:
            yield name, ",".join(values)


def of_pairs(place: str, pairs: list[Pair]) -> Iterator[Value]:
    """Names and values, and what they become in services that join and parse them."""
    for name, text in pairs:
        yield Value(place, name, name)
        yield Value(place, name, text)
        for row in nested(text):
            yield Value(place, name, row)
    for name, text in joined(pairs):
        yield Value(place, name, text)
