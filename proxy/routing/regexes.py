"""The search for the regular expressions that take a path, among any number of them.

May live here: the index over expressions by how they begin. Must not live here: other path
patterns (`tree`), and which expression stands before which (`precedence`).

Most expressions begin with fixed characters, as `~/v1/users/[0-9]+` does with `/v1/users/`.
Of all beginnings those that a path has are found by one binary search: a beginning of the
path that sorts before it is the closest one of them, or begins it. So an expression is only
tried on paths that begin as it does; those that begin alike are tried one after another.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

_SPECIAL: Final = frozenset(".^$*+?{}[]()|\\")
# What may follow a character that need not be there.
_OPTIONAL: Final = frozenset("*?{")

# Escaped characters, and sets; a bracket that comes first in one doesn't end it.
_HARMLESS: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)

# The place of an expression among all, what it is, and the ranks of the routes that have it.
_Row = tuple[int, re.Pattern[str], list[int]]


class RegexIndex:
    """An index over regular expressions, each with its ranks.

    expressions: in the order in which they are tried.
    """

    __slots__ = ("_beginnings", "_longer", "_rows")

    def __init__(self, expressions: Iterable[tuple[re.Pattern[str], list[int]]]) -> None:
        rows: dict[str, list[_Row]] = {}
        for place, (regex, ranks) in enumerate(expressions):
            rows.setdefault(beginning(regex.pattern), []).append((place, regex, ranks))
        self._beginnings = sorted(rows)
        self._rows = [rows[text] for text in self._beginnings]
        # For each beginning the place of the longest other one that it begins with; -1 for none.
        self._longer: list[int] = []
        for place, text in enumerate(self._beginnings):
            other = place - 1
            while other >= 0 and not text.startswith(self._beginnings[other]):
                other = self._longer[other]
            self._longer.append(other)

    def __bool__(self) -> bool:
        return bool(self._rows)

    def find(self, path: str) -> Iterator[list[int]]:
        """The ranks of the expressions that take `path`, in runs in the order of trying."""
        found: list[list[_Row]] = []
        beginnings = self._beginnings
        place = bisect_right(beginnings, path) - 1
        while place >= 0:
            if path.startswith(beginnings[place]):
                found.append(self._rows[place])
            place = self._longer[place]
        rows = found[0] if len(found) == 1 else sorted(chain.from_iterable(found), key=_place)
        for _, regex, ranks in rows:
            if regex.fullmatch(path) is not None:
                yield ranks


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
