"""What a route takes, read from its `match:` and ready to be tested.

May live here: one route's rule as a whole, and every error in writing it. Must not live
here: the order among routes (`precedence`), and the search for the first that matches
(`table`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from proxy.config.model import Match
from proxy.contract import Request
from proxy.http1.host_pattern import HostPattern
from proxy.http1.query import Parameters, read_query
from proxy.routing.condition import (
    Condition,
    read_field_conditions,
    read_parameter_conditions,
)
from proxy.routing.host import ANY_HOST, read_host
from proxy.routing.path import PathKind, PathPattern, read_path

MatchField = Literal["path", "host", "methods", "headers", "query"]

# What the parser reads (RFC 9110, 9.3; RFC 5789; the IANA registry's WebDAV methods).
_METHODS: Final = frozenset({
    "ACL", "BIND", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK",
    "M-SEARCH", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE", "NOTIFY", "OPTIONS",
    "PATCH", "POST", "PROPFIND", "PROPPATCH", "PURGE", "PUT", "QUERY", "REBIND", "REPORT",
    "SEARCH", "SOURCE", "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE",
})  # fmt: skip

R = TypeVar("R")


class MatchError(Exception):
    """A route's `match:` can't be understood.

    index: the route's place in the file, from 0. field: the key under `match`. message:
    what is wrong and how to put it right.
    """

    def __init__(self, index: int, field: MatchField, message: str) -> None:
        super().__init__(f"routes[{index}].match.{field}: {message}")
        self.index = index
        self.field: MatchField = field
        self.message = message


@dataclass(frozen=True, slots=True)
class Rule:
    """What one route takes. index: its place in the file. methods: empty for any."""

    index: int
    host: HostPattern
    path: PathPattern
    methods: frozenset[str]
    headers: tuple[Condition, ...]
    query: tuple[Condition, ...]

    @property
    def takes_all(self) -> bool:
        """Every request there is."""
        anywhere = self.host == ANY_HOST and self.path.kind is PathKind.ANY
        return anywhere and not (self.methods or self.headers or self.query)

    def holds(self, request: Request, parameters: Parameters | None = None) -> bool:
        """Whether the conditions on fields and parameters hold.

        parameters: those of the request if they have been read already.
        """
        for condition in self.headers:
            if not condition.holds_for_field(request.headers):
                return False
        if self.query:
            if parameters is None:
                parameters = read_query(request.query)
            for condition in self.query:
                if not condition.holds_for_parameter(parameters):
                    return False
        return True

    def mismatches(self, request: Request) -> list[str]:
        """Everything that keeps the request from this route, in words; empty: it matches."""
        reasons: list[str] = []
        if not self.host.matches(request.host):
            reasons.append(f"host {request.host or '(none)'} is not {self.host}")
        if not self.path.matches(request.path):
            reasons.append(self.path.mismatch(request.path))
        if self.methods and request.method not in self.methods:
            reasons.append(f"method {request.method} is not {_either(self.methods)}")
        reasons.extend(
            f"header {condition.name} {condition.wanted()}"
            for condition in self.headers
            if not condition.holds_for_field(request.headers)
        )
        parameters = read_query(request.query) if self.query else {}
        reasons.extend(
            f"query parameter {condition.name} {condition.wanted()}"
            for condition in self.query
            if not condition.holds_for_parameter(parameters)
        )
        return reasons


def read_rules(matches: Sequence[Match]) -> list[Rule]:
    """The rules of all routes, in file order. Raises MatchError for the first mistake."""
    rules: list[Rule] = []
    for index, match in enumerate(matches):
        mistakes: list[MatchError] = []
        rule = _read_rule(index, match, mistakes)
        if rule is None:
            raise mistakes[0]
        rules.append(rule)
    return rules


def problems(matches: Sequence[Match]) -> list[MatchError]:
    """All mistakes at once, in file order, at most one for each field of a route."""
    mistakes: list[MatchError] = []
    for index, match in enumerate(matches):
        _read_rule(index, match, mistakes)
    return mistakes


def _read_rule(index: int, match: Match, mistakes: list[MatchError]) -> Rule | None:
    def read(field: MatchField, reader: Callable[[], R]) -> R | None:
        try:
            return reader()
        except ValueError as error:
            mistakes.append(MatchError(index, field, str(error)))
            return None

    host = read("host", lambda: read_host(match.host))
    path = read("path", lambda: read_path(match.path))
    methods = read("methods", lambda: read_methods(match.methods))
    headers = read("headers", lambda: read_field_conditions(match.headers))
    query = read("query", lambda: read_parameter_conditions(match.query))
    if host is None or path is None or methods is None or headers is None or query is None:
        return None
    return Rule(index, host, path, methods, headers, query)


def read_methods(methods: Sequence[str]) -> frozenset[str]:
    """The methods of a route; GET brings HEAD along. Raises ValueError with the fix."""
    for method in methods:
        if method in _METHODS:
            continue
        if method == "*":
            raise ValueError("leave methods out to take any method")
        if method.upper() in _METHODS:
            raise ValueError(f"{method!r} is no method, as case counts; write {method.upper()}")
        near = difflib.get_close_matches(method.upper(), sorted(_METHODS), n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{method!r} is not a method that Sidegate reads{meant}")
    return frozenset(methods) | ({"HEAD"} if "GET" in methods else frozenset())


def _either(methods: frozenset[str]) -> str:
    names = sorted(methods - {"HEAD"} if "GET" in methods else methods)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
