"""Which routes can never be taken, because another one takes all their requests.

May live here: the proof that one rule covers another. It must never call a route dead that
some request can reach; it need not find every dead one. Not found: routes that only several
others together cover, and regular expressions contained in one another.

Precedence puts a narrower host or path first, so only a rule with the same host and the
same path can cover another, with one exception: a prefix stands before every regular
expression, and covers those whose fixed beginning lies under it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from proxy.config.model import Match
from proxy.http1.host_pattern import HostPattern
from proxy.routing.condition import PRESENT
from proxy.routing.match import Rule, read_rules
from proxy.routing.path import PathKind, PathPattern
from proxy.routing.precedence import arrange
from proxy.routing.tree import PathTree

_FIXED: Final = re.compile(r"[A-Za-z0-9/_~%!@&=,:;'\"<>-]|\\[^A-Za-z0-9]", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\.", re.DOTALL)
_CLASS: Final = re.compile(r"\[\^?\]?[^\]]*\]")
_GROUP: Final = re.compile(r"\([^()]*\)")


class _Demand(NamedTuple):
    """One condition, comparable. kind: `header` or `query`."""

    kind: str
    name: str
    text: str


class _Shelf:
    """The live rules of one host and path, each under the rarest of its demands."""

    __slots__ = ("_by_demand", "_undemanding")

    def __init__(self) -> None:
        self._by_demand: dict[_Demand, list[Rule]] = {}
        self._undemanding: list[Rule] = []

    def put(self, rule: Rule, frequency: Mapping[_Demand, int]) -> None:
        demands = _demands(rule)
        if demands:
            rarest = min(demands, key=lambda demand: frequency[demand])
            self._by_demand.setdefault(rarest, []).append(rule)
        else:
            self._undemanding.append(rule)

    def candidates(self, met: Iterable[_Demand]) -> Iterator[Rule]:
        """The rules that may cover one whose requests meet all of these demands."""
        yield from self._undemanding
        for demand in met:
            yield from self._by_demand.get(demand, ())


def unreachable(matches: Sequence[Match]) -> list[tuple[int, int]]:
    """Pairs of a route that can never be taken and the one that takes all its requests.

    Both are indices in the file; the pairs come in the order of the dead. Raises MatchError
    for a pattern that is wrong.
    """
    rules = arrange(read_rules(matches))
    frequency = Counter(demand for rule in rules for demand in _demands(rule))
    trees = _trees(rules)
    shelves: dict[tuple[HostPattern, tuple[object, ...]], _Shelf] = {}
    dead: list[tuple[int, int]] = []
    for rule in rules:
        met = _met(rule)
        paths = [rule.path, *_prefixes_over(rule, rules, trees)]
        shapes = dict.fromkeys((rule.host, path.shape) for path in paths)
        found = [shelves[shape] for shape in shapes if shape in shelves]
        coverer = next(
            (
                other
                for shelf in found
                for other in shelf.candidates(met)
                if _covers(other, rule, met)
            ),
            None,
        )
        # What a dead rule covers, the one that covers it covers as well.
        if coverer is not None:
            dead.append((rule.index, coverer.index))
        else:
            shelves.setdefault((rule.host, rule.path.shape), _Shelf()).put(rule, frequency)
    return sorted(dead)


def _covers(other: Rule, rule: Rule, met: frozenset[_Demand]) -> bool:
    """Whether `other`, whose host and path cover the rule's, takes all its requests."""
    if other.methods and not (rule.methods and rule.methods <= other.methods):
        return False
    return _demands(other) <= met


def _demands(rule: Rule) -> frozenset[_Demand]:
    return frozenset(
        _Demand(kind, condition.name, condition.text)
        for kind, conditions in (("header", rule.headers), ("query", rule.query))
        for condition in conditions
    )


def _met(rule: Rule) -> frozenset[_Demand]:
    """The demands that every request of a rule meets: its own, and weaker ones."""
    demands = _demands(rule)
    return demands | {demand._replace(text=PRESENT) for demand in demands}


def _trees(rules: Sequence[Rule]) -> dict[HostPattern, PathTree]:
    prefixes: dict[HostPattern, list[tuple[int, PathPattern]]] = {}
    for rank, rule in enumerate(rules):
        if rule.path.kind is PathKind.PREFIX:
            prefixes.setdefault(rule.host, []).append((rank, rule.path))
    return {host: PathTree(patterns) for host, patterns in prefixes.items()}


def _prefixes_over(
    rule: Rule, rules: Sequence[Rule], trees: Mapping[HostPattern, PathTree]
) -> Iterator[PathPattern]:
    """The prefixes that take every path of a regular expression."""
    if rule.path.kind is not PathKind.REGEX or rule.host not in trees:
        return
    folder, slash, _ = fixed_beginning(rule.path.text[1:]).rpartition("/")
    if slash:
        for ranks in trees[rule.host].walk(folder):
            for rank in ranks:
                yield rules[rank].path


def fixed_beginning(regex: str) -> str:
    """Text with which everything that a regular expression fully matches begins.

    Possibly shorter than the longest there is; empty when in doubt.
    """
    flat = _CLASS.sub("x", _ESCAPE.sub("x", regex))
    removed = 1
    while removed:
        flat, removed = _GROUP.subn("x", flat)
    if "|" in flat:
        return ""
    fixed: list[str] = []
    at = 1 if regex.startswith("^") else 0
    while match := _FIXED.match(regex, at):
        fixed.append(match[0][-1])
        at = match.end()
    # The last character may be there or not.
    if regex[at : at + 1] in ("*", "?", "{"):
        fixed = fixed[:-1]
    return "".join(fixed)
