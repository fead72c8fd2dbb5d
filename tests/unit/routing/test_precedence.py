"""The documented order among routes, rule by rule."""

from __future__ import annotations

import pytest

from proxy.config.model import Match
from proxy.routing.match import read_rules
from proxy.routing.precedence import arrange, explain_order, find_places

CASES = [
    # 1. Host.
    (Match(host="a.b.com"), Match(host="*.b.com", path="/a"), "exact host before wildcard host"),
    (Match(host="*.b.com"), Match(host="*.com", path="/a"), "longer host suffix first"),
    (Match(host="*.com"), Match(path="/a"), "wildcard host before any host"),
    (Match(host="a.com"), Match(path="/a"), "exact host before any host"),
    # 2. Path.
    (Match(path="/a"), Match(path="/{a}", methods=("GET",)), "exact path before template"),
    (Match(path="/a/{b}"), Match(path="/a/b/**"), "template before prefix"),
    (Match(path="/a/**"), Match(path="~/a/b"), "prefix before regular expression"),
    (Match(path="~.*"), Match(methods=("GET",)), "regular expression before catch-all"),
    (Match(path="/ab/{c}"), Match(path="/{a}/{b}"), "more fixed characters in the path first"),
    (Match(path="/a/b/**"), Match(path="/a/**"), "more fixed characters in the path first"),
    (Match(path="/a/{b}/**"), Match(path="/a/**"), "more fixed characters in the path first"),
    (Match(path="/a/b/**"), Match(path="/a/{b}/**"), "more fixed characters in the path first"),
    (Match(path="/ab/**"), Match(path="/a/{b}/**"), "fewer captures first"),
    # 3. Methods.
    (
        Match(methods=("GET",)),
        Match(headers={"a": "1", "b": "1"}, query={"c": "1"}),
        "a method list before none",
    ),
    # 4. Header conditions.
    (
        Match(headers={"a": "1", "b": "1"}),
        Match(headers={"a": "1"}, query={"c": "1", "d": "1"}),
        "more header conditions first",
    ),
    # 5. Query conditions.
    (Match(query={"c": "1"}), Match(), "more query conditions first"),
]


@pytest.mark.parametrize(("first", "second", "words"), CASES)
def test_the_more_specific_route_is_tried_first_wherever_it_stands_in_the_file(
    first: Match, second: Match, words: str
) -> None:
    for matches in ([first, second], [second, first]):
        ordered = arrange(read_rules(matches))
        assert [matches[rule.index] for rule in ordered] == [first, second]
        places = find_places(ordered)
        assert explain_order(places[ordered[0].index], places[ordered[1].index]) == words


@pytest.mark.parametrize(
    "matches",
    [
        [Match(path="/{a}/b"), Match(path="/a/{b}")],
        [Match(), Match()],
        [Match(methods=("GET",)), Match(methods=("GET", "POST"))],
        [Match(headers={"a": "1"}), Match(headers={"b": "1"})],
    ],
)
def test_ties_are_broken_by_the_order_of_the_file(matches: list[Match]) -> None:
    ordered = arrange(read_rules(matches))
    assert [rule.index for rule in ordered] == [0, 1]
    places = find_places(ordered)
    assert explain_order(places[0], places[1]) == "the earlier one in the file first"


def test_regular_expressions_are_tried_in_the_order_of_the_file_whatever_else_they_ask() -> None:
    first, second = Match(path="~/a.*"), Match(path="~/ab.*", methods=("GET",))
    ordered = arrange(read_rules([first, second]))
    assert [rule.index for rule in ordered] == [0, 1]
    places = find_places(ordered)
    words = "the earlier regular expression in the file first"
    assert explain_order(places[0], places[1]) == words


def test_routes_with_the_same_regular_expression_go_on_to_the_next_rules() -> None:
    matches = [
        Match(path="~/a.*"),
        Match(path="~/b.*"),
        Match(path="~/a.*", methods=("GET",)),
    ]
    assert [rule.index for rule in arrange(read_rules(matches))] == [2, 0, 1]
