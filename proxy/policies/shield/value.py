"""A text of a request, and how texts of one kind are read further.

May live here: what every part of a request shares. Must not live here: where texts stand in
a request (`inspection`) or in its body (`bodies`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import orjson

from proxy.content.decoding import shorten
from proxy.content.form import Pair, read_pairs
from proxy.content.json import loose_strings, strings

_NESTED_MAX: Final = 2
_BRACKETS: Final = re.compile(r"[\[\]]+")


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
    them with commas, whatever the case of the name, so that an attack may be spread over
    them."""
    gathered: dict[str, list[str]] = {}
    for name, text in pairs:
        gathered.setdefault(name.lower(), []).append(text)
    for name, values in gathered.items():
        if len(values) > 1:
            yield name, ",".join(values)


def spellings(text: str) -> list[str]:
    """A query or a form as it is written, and as it would be where semicolons part it too, or
    overlong UTF-8 is taken."""
    found = [text]
    if ";" in text:
        found.append(text.replace(";", "&"))
    short = shorten(text)
    return found if short == text else [*found, short]


def pair_texts(pairs: list[Pair]) -> list[str]:
    """The texts of `of_pairs` alone."""
    found = [text for pair in pairs for text in pair]
    found += [key for name, _ in pairs if "[" in name for key in _keys(name)]
    found += [text for _, text in joined(pairs)]
    return with_nested(found)


def with_nested(found: list[str]) -> list[str]:
    """Texts and what is in those that are JSON."""
    return found + [row for text in found if '"' in text for row in nested(text)]


def of_pairs(place: str, pairs: list[Pair]) -> Iterator[Value]:
    """Names and values, and what they become in services that join and parse them."""
    for name, text in pairs:
        yield Value(place, name, name)
        if "[" in name:
            for key in _keys(name):
                yield Value(place, name, key)
        yield Value(place, name, text)
        for row in nested(text):
            yield Value(place, name, row)
    for name, text in joined(pairs):
        yield Value(place, name, text)


def of_form(place: str, text: str) -> Iterator[Value]:
    """A query or a form."""
    for spelling in spellings(text):
        yield from of_pairs(place, read_pairs(spelling))


def _keys(name: str) -> list[str]:
    """The keys in `name[key][key]`, which PHP and others make arrays of."""
    return _BRACKETS.split(name)
