"""The search for the regular expressions that take a path, among any number of them.

May live here: the index over expressions by how they begin. Must not live here: other path
patterns (`tree`), and which expression stands before which (`precedence`).

Most expressions begin with fixed characters, as `~/v1/users/[0-9]+` does with `/v1/users/`.
Of all beginnings those that a path has are found by one binary search: a beginning of the
path that sorts before it is the closest one of them, or begins it. So an expression is only
tried on paths that begin as it does. Of those that begin alike a few are tried one after
another, and many at once, as far as that can be done (`union`).
"""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from proxy.routing.union import Union, shared

_SPECIAL: Final = frozenset(".^$*+?{}[]()|\\")
# What may follow a character that need not be there.
_OPTIONAL: Final = frozenset("*?{")

# Escaped characters, and sets; a bracket that comes first in one doesn't end it.
_HARMLESS: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)

# The place of an expression among all, what it is, and the ranks of the routes that have it.
_Row = tuple[int, re.Pattern[str], list[int]]

# Up to here trying in turn costs no more.
_FEW: Final = 8


class RegexIndex:
    """An index over regular expressions, each with its ranks.

    expressions: in the order in which they are tried.
    """

    __slots__ = ("_beginnings", "_crowds", "_longer")

    def __init__(self, expressions: Iterable[tuple[re.Pattern[str], list[int]]]) -> None:
        rows: dict[str, list[_Row]] = {}
        for place, (regex, ranks) in enumerate(expressions):
            rows.setdefault(beginning(regex.pattern), []).append((place, regex, ranks))
        self._beginnings = sorted(rows)
        self._crowds = [_Crowd(rows[text]) for text in self._beginnings]
        # For each beginning the place of the longest other one that it begins with; -1 for none.
        self._longer: list[int] = []
        for place, text in enumerate(self._beginnings):
            other = place - 1
            while other >= 0 and not text.startswith(self._beginnings[other]):
                other = self._longer[other]
            self._longer.append(other)

    def __bool__(self) -> bool:
        return bool(self._crowds)

    def find(self, path: str) -> Iterator[list[int]]:
        """The ranks of the expressions that take `path`, in runs in the order of trying."""
        found: list[list[_Row]] = []
        beginnings = self._beginnings
        place = bisect_right(beginnings, path) - 1
        while place >= 0:
            if path.startswith(beginnings[place]):
                found.append(self._crowds[place].choose(path))
            place = self._longer[place]
        rows = found[0] if len(found) == 1 else sorted(chain.from_iterable(found), key=_place)
        for _, regex, ranks in rows:
            if regex.fullmatch(path) is not None:
                yield ranks


class _Crowd:
    """Expressions that begin alike. rows: in the order of trying."""

    __slots__ = ("_apart", "_joined", "_rows", "_union")

    def __init__(self, rows: list[_Row]) -> None:
        self._rows = rows
        # None where trying in turn is as good, or all there is.
        self._union: Union | None = None
        if len(rows) > _FEW:
            joined: list[_Row] = []
            apart: list[_Row] = []
            for row in rows:
                (joined if _is_shared(row[1]) else apart).append(row)
            self._joined, self._apart = joined, apart
            with contextlib.suppress(ValueError):
                self._union = Union([regex.pattern for _, regex, _ in joined])

    def choose(self, path: str) -> list[_Row]:
        """Those that may take a path, in the order of trying."""
        union = self._union
        if union is None or not path.isascii():
            return self._rows
        places = union.match(path)
        if places is None:
            return self._rows
        chosen = [self._joined[place] for place in places]
        return sorted(chosen + self._apart, key=_place) if chosen else self._apart


def _is_shared(regex: re.Pattern[str]) -> bool:
    return regex.flags & ~re.IGNORECASE == re.UNICODE and shared(regex.pattern)


def _place(row: _Row) -> int:
    return row[0]


def beginning(text: str) -> str:
    """Characters with which all begins that an expression matches; possibly none."""
    text = text.removeprefix("^")
    fixed: list[str] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character == "\\" and text[at + 1 : at + 2] and not text[at + 1].isalnum():
            at += 1
            character = text[at]
        elif character in _SPECIAL:
            if character in _OPTIONAL and fixed:
                fixed.pop()
            break
        fixed.append(character)
        at += 1
    return "" if _alternates(text[at:]) else "".join(fixed)


def _alternates(text: str) -> bool:
    """Whether a `|` stands outside of all groups, or it is hard to say."""
    if "|" not in text:
        return False
    if "#" in text:
        # Comments may hold anything.
        return True
    text = _HARMLESS.sub("", text)
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "|" and not depth:
            return True
    return False
