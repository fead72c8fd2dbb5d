"""Which of several matching routes wins. This is the documented precedence.

All routes stand in one total order; the first one that matches a request takes it. It is
that of the Gateway API, extended by templates and regular expressions. A route stands
before another by the first of these rules that tells them apart:

1. Host: an exact name, then wildcards with the longest suffix first, then any host.
2. Path: an exact path, then templates (`/users/{id}`), then prefixes (`/products/**`), then
   regular expressions, then the catch-all (`/**`). Of two templates or two prefixes the one
   with more fixed characters (slashes count) stands first, then the one with fewer
   captures. Of two regular expressions the one written earlier in the file stands first.
   Prefixes thus stand before every regular expression, save the catch-all.
3. Methods: a list before none.
4. Header conditions: more before fewer.
5. Query conditions: more before fewer.
6. The order of the file.

A route whose path fits but whose methods or conditions don't is passed over, and the next
in the order is tried, in less specific hosts and paths too.

May live here: the order and its names. Must not live here: whether anything matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.http1.host_pattern import HostPattern
from proxy.routing.match import Rule
from proxy.routing.path import PathKind, PathPattern

_HOST_NAMES: Final = ("exact host", "wildcard host", "any host")
_KIND_NAMES: Final = {
    PathKind.EXACT: "exact path",
    PathKind.TEMPLATE: "template",
    PathKind.PREFIX: "prefix",
    PathKind.REGEX: "regular expression",
    PathKind.ANY: "catch-all",
}
_WORDS: Final = {
    "host_length": "longer host suffix first",
    "path_literal": "more fixed characters in the path first",
    "path_captures": "fewer captures first",
    "regex_index": "the earlier regular expression in the file first",
    "any_method": "a method list before none",
    "headers": "more header conditions first",
    "query": "more query conditions first",
}


class Place(NamedTuple):
    """Where a rule stands in the total order; smaller is earlier, field by field."""

    host_kind: int
    host_length: int
    path_kind: PathKind
    path_literal: int
    path_captures: int
    regex_index: int
    any_method: bool
    headers: int
    query: int
    file_order: int


def arrange(rules: Sequence[Rule]) -> list[Rule]:
    """The rules in the order in which they are tried."""
    places = find_places(rules)
    return sorted(rules, key=lambda rule: places[rule.index])


def find_places(rules: Sequence[Rule]) -> dict[int, Place]:
    """The place of each rule in the order, by its index."""
    first_use: dict[str, int] = {}
    for rule in rules:
        if rule.path.kind is PathKind.REGEX:
            first_use.setdefault(rule.path.text, rule.index)
    return {rule.index: _place(rule, first_use) for rule in rules}


def _place(rule: Rule, first_use: dict[str, int]) -> Place:
    path: PathPattern = rule.path
    regex = path.kind is PathKind.REGEX
    return Place(
        host_kind=_host_kind(rule.host),
        host_length=-len(rule.host.name) if rule.host.wildcard else 0,
        path_kind=path.kind,
        path_literal=-path.literal,
        path_captures=0 if regex else len(path.names),
        regex_index=first_use[path.text] if regex else 0,
        any_method=not rule.methods,
        headers=-len(rule.headers),
        query=-len(rule.query),
        file_order=rule.index,
    )


def _host_kind(host: HostPattern) -> int:
    if not host.name:
        return 2
    return 1 if host.wildcard else 0


def explain_order(first: Place, second: Place) -> str:
    """Why `first` is tried before `second`, in words."""
    if first.host_kind != second.host_kind:
        return f"{_HOST_NAMES[first.host_kind]} before {_HOST_NAMES[second.host_kind]}"
    if first.host_length == second.host_length and first.path_kind != second.path_kind:
        return f"{_KIND_NAMES[first.path_kind]} before {_KIND_NAMES[second.path_kind]}"
    for field, words in _WORDS.items():
        if getattr(first, field) != getattr(second, field):
            return words
    return "the earlier one in the file first"
