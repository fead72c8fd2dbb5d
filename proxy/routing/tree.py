"""The search for the patterns that take a path, among any number of them.

May live here: the index over path patterns. Must not live here: methods, conditions, and
who wins: patterns are known by their rank in the order of `precedence`, and come out in it.

Exact paths are found by one dictionary access, templates and prefixes by a walk down a tree
of segments, regular expressions by how they begin. Each node of the tree is reached in one
way only, and the path is split no deeper than the deepest pattern, so a walk costs at most
as many steps as the patterns that share their beginning with the path have segments,
however long the path is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from proxy.routing.path import PathKind, PathPattern
from proxy.routing.regexes import RegexIndex

Ranks = list[int]
Sift = Callable[[Ranks], Ranks]
"""What is left of a run of ranks, which all have the same pattern, for the request at hand."""


class _Node:
    """A place in the tree. whole: of templates that end here; under: of prefixes."""

    __slots__ = ("capture", "literals", "under", "whole")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.capture: _Node | None = None
        self.whole: Ranks = []
        self.under: Ranks = []


class PathTree:
    """An index over path patterns, each with its rank; ranks must come in rising order."""

    __slots__ = ("_always", "_any", "_depth", "_exact", "_regexes", "_root", "_searches")

    def __init__(self, patterns: Iterable[tuple[int, PathPattern]]) -> None:
        self._exact: dict[str, Ranks] = {}
        self._root = _Node()
        self._depth = 0
        self._any: Ranks = []
        regexes: dict[str, tuple[re.Pattern[str], Ranks]] = {}
        for rank, pattern in patterns:
            if pattern.kind is PathKind.EXACT:
                self._exact.setdefault(pattern.text, []).append(rank)
            elif pattern.kind is PathKind.ANY:
                self._any.append(rank)
            elif pattern.regex is not None:
                regexes.setdefault(pattern.text, (pattern.regex, []))[1].append(rank)
            else:
                self._plant(rank, pattern)
        self._regexes = RegexIndex(regexes.values())
        self._searches = bool(self._exact or self._depth or self._regexes)
        self._always = (self._any,)

    def _plant(self, rank: int, pattern: PathPattern) -> None:
        node = self._root
        for segment in pattern.segments:
            if segment is not None:
                node = node.literals.setdefault(segment, _Node())
            else:
                if node.capture is None:
                    node.capture = _Node()
                node = node.capture
        (node.under if pattern.kind is PathKind.PREFIX else node.whole).append(rank)
        self._depth = max(self._depth, len(pattern.segments))

    def find(self, path: str, sift: Sift | None = None) -> Iterable[Ranks]:
        """The ranks of the patterns that take `path`, in rising order, in runs.

        What is seldom needed is computed only when it is asked for: what follows an exact
        path, and regular expressions.
        """
        if not self._searches:
            return self._always if sift is None else (sift(self._any),)
        exact = self._exact.get(path)
        if exact is not None or self._regexes or sift is not None:
            return self._search(path, exact, sift)
        runs = self.walk(path)
        runs.append(self._any)
        return runs

    def _search(self, path: str, exact: Ranks | None, sift: Sift | None) -> Iterator[Ranks]:
        if exact is not None:
            yield exact if sift is None else sift(exact)
        yield from self.walk(path, sift)
        rest = chain(self._regexes.find(path), self._always)
        yield from rest if sift is None else map(sift, rest)

    def walk(self, path: str, sift: Sift | None = None) -> list[Ranks]:
        """As `find`, for templates and prefixes alone."""
        # One more part than the deepest pattern has: a longer path must not end on it.
        parts = path.split("/", self._depth + 1)
        end = len(parts)
        at = 1
        node = self._root
        runs: list[Ranks] = []
        branches: list[tuple[_Node, int]] = []
        branched = False
        while True:
            if node.under:
                runs.append(node.under)
            if at == end:
                if node.whole:
                    runs.append(node.whole)
            else:
                part = parts[at]
                at += 1
                literal = node.literals.get(part)
                capture = node.capture
                if capture is not None and part:
                    if literal is not None:
                        branches.append((capture, at))
                        branched = True
                    else:
                        literal = capture
                if literal is not None:
                    node = literal
                    continue
            if not branches:
                break
            node, at = branches.pop()
        if sift is not None:
            runs = list(map(sift, runs))
        if len(runs) < 2:
            return runs
        if branched:
            return [sorted(chain.from_iterable(runs))]
        # On one way down, what lies deeper is more specific.
        runs.reverse()
        return runs
