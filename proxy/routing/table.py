"""Finds the route of a request. Built once from the configuration, and immutable.

May live here: the search as a whole and its explanation. Must not live here: what a route
does with a request. The order in which routes are tried is written down in `precedence`.

The cost of a look-up depends on the request and on the routes that share its host and its
path, not on the number of routes. What is tried one after another: regular expressions that
begin with the same fixed characters, or with none, and use what Python's `re` alone knows,
such as looking ahead; and routes with the very same host and path that differ in methods, in
regular expressions for a field or parameter, or in the texts of several of those, where one
look-up by the most usual one (`sieve`) leaves many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from proxy.config.model import Match
from proxy.contract import NO_CAPTURES, Request
from proxy.http1.host_pattern import HostPattern
from proxy.http1.query import Parameters, read_query
from proxy.routing.coverage import unreachable
from proxy.routing.host import HostIndex
from proxy.routing.match import MatchError, Rule, problems, read_rules
from proxy.routing.path import PathPattern
from proxy.routing.precedence import arrange, explain_order, find_places
from proxy.routing.sieve import Sifting, find_sieves
from proxy.routing.tree import PathTree

__all__ = [
    "Find",
    "Found",
    "MatchError",
    "Miss",
    "Table",
    "Verdict",
    "problems",
    "unreachable",
]

T = TypeVar("T")


class Found(Generic[T]):
    """The route that takes a request. captures: decoded parts of its path, by name."""

    __slots__ = ("captures", "value")

    def __init__(self, value: T, captures: Mapping[str, str]) -> None:
        self.value = value
        self.captures = captures

    def __repr__(self) -> str:
        return f"Found({self.value!r}, {dict(self.captures)!r})"


class Miss:
    """No route takes a request.

    allowed: the methods with which one would, in alphabetical order: 405 and Allow
    (RFC 9110, 15.5.6); empty: 404.
    """

    __slots__ = ("allowed",)

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        self.allowed = allowed

    def __repr__(self) -> str:
        return f"Miss({self.allowed!r})"


_NOTHING: Final = Miss()


Find = Callable[[Request], Found[T] | Miss]
"""Looks a request up."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one route. index: its place in the file. matched: it takes the request.

    The first verdict that matched is the route that wins; reason says, in words, why the
    others lost.
    """

    index: int
    matched: bool
    reason: str


class _Entry(Generic[T]):
    """A rule as the search needs it. capture: None when there are no captures."""

    __slots__ = ("capture", "conditional", "found", "methods", "query", "rule", "value")

    def __init__(self, rule: Rule, value: T) -> None:
        self.rule = rule
        self.value = value
        self.methods = rule.methods
        self.conditional = bool(rule.headers or rule.query)
        self.query = bool(rule.query)
        self.capture = rule.path.capturer()
        self.found = Found(value, NO_CAPTURES)


class Table(Generic[T]):
    """Values by what they match. Raises MatchError for a pattern that is wrong."""

    __slots__ = ("_entries", "_hosts", "_only", "_sieves")

    def __init__(self, entries: Sequence[tuple[Match, T]]) -> None:
        rules = arrange(read_rules([match for match, _ in entries]))
        groups: dict[HostPattern, list[tuple[int, PathPattern]]] = {}
        for rank, rule in enumerate(rules):
            groups.setdefault(rule.host, []).append((rank, rule.path))
        self._hosts = HostIndex({host: PathTree(paths) for host, paths in groups.items()})
        self._sieves = find_sieves(rules)
        self._entries = [_Entry(rule, entries[rule.index][1]) for rule in rules]
        # A sidecar's whole table is one route that takes everything: nothing to look up.
        self._only = self._entries[0] if len(rules) == 1 and rules[0].takes_all else None

    def find(self, request: Request) -> Found[T] | Miss:
        """The route that takes the request, or why none does."""
        path = request.path
        only = self._only
        if only is not None:
            return only.found if only.capture is None else Found(only.value, only.capture(path))
        method = request.method
        entries = self._entries
        passed_over: list[_Entry[T]] = []
        parameters: Parameters | None = None
        sift = Sifting(request, self._sieves) if self._sieves else None
        for tree in self._hosts.find(request.host):
            for ranks in tree.find(path, sift):
                for rank in ranks:
                    entry = entries[rank]
                    if entry.methods and method not in entry.methods:
                        passed_over.append(entry)
                        continue
                    if entry.conditional:
                        if entry.query and parameters is None:
                            parameters = (
                                read_query(request.query) if sift is None else sift.parameters
                            )
                        if not entry.rule.holds(request, parameters):
                            continue
                    if entry.capture is None:
                        return entry.found
                    return Found(entry.value, entry.capture(path))
        if not passed_over:
            return _NOTHING
        return _miss(request, passed_over, parameters)

    def explain(self, request: Request, names: Sequence[str] = ()) -> list[Verdict]:
        """What became of each route, in the order in which they are tried.

        names: what to call the routes, in file order; `route 1` and so on by default.
        """
        rules = [entry.rule for entry in self._entries]
        places = find_places(rules)
        winner: Rule | None = None
        verdicts: list[Verdict] = []
        for rule in rules:
            mismatches = rule.mismatches(request)
            if mismatches:
                verdicts.append(Verdict(rule.index, False, "; ".join(mismatches)))
            elif winner is None:
                winner = rule
                verdicts.append(Verdict(rule.index, True, "matches, and is tried first"))
            else:
                name = names[winner.index] if names else f"route {winner.index + 1}"
                why = explain_order(places[winner.index], places[rule.index])
                reason = f"matches, but {name} is more specific: {why}"
                verdicts.append(Verdict(rule.index, True, reason))
        return verdicts


def _miss(
    request: Request, passed_over: Sequence[_Entry[T]], parameters: Parameters | None
) -> Miss:
    if parameters is None and any(entry.query for entry in passed_over):
        parameters = read_query(request.query)
    allowed: set[str] = set()
    for entry in passed_over:
        if entry.rule.holds(request, parameters):
            allowed |= entry.methods
    return Miss(tuple(sorted(allowed)))
