"""A route's rule as a whole, and the mistakes in writing one."""

from __future__ import annotations

import re

import pytest

from proxy.config.model import Match
from proxy.contract import Request
from proxy.http1.headers import Headers
from proxy.routing.match import MatchError, problems, read_methods, read_rules


@pytest.mark.parametrize(
    ("methods", "read"),
    [
        ((), set()),
        (("GET",), {"GET", "HEAD"}),
        (("HEAD",), {"HEAD"}),
        (("POST", "PUT", "POST"), {"POST", "PUT"}),
        (("M-SEARCH",), {"M-SEARCH"}),
    ],
)
def test_get_brings_head_along(methods: tuple[str, ...], read: set[str]) -> None:
    assert read_methods(methods) == read


@pytest.mark.parametrize(
    ("method", "fix"),
    [
        ("get", "case counts; write GET"),
        ("GTE", "did you mean GET?"),
        ("*", "leave methods out to take any method"),
        ("", "'' is not a method that Sidegate reads"),
        ("GET POST", "is not a method"),
        ("#!", "'#!' is not a method that Sidegate reads"),
    ],
)
def test_a_wrong_method_is_told_with_its_fix(method: str, fix: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fix)):
        read_methods((method,))


def test_all_mistakes_are_told_at_once_with_their_places() -> None:
    matches = [
        Match(path="a", host="A"),
        Match(),
        Match(methods=("get",), headers={"Host": "a"}, query={"q": "~("}),
    ]
    assert [(problem.index, problem.field) for problem in problems(matches)] == [
        (0, "host"), (0, "path"), (2, "methods"), (2, "headers"), (2, "query"),
    ]  # fmt: skip


def test_the_first_mistake_is_raised() -> None:
    with pytest.raises(MatchError) as caught:
        read_rules([Match(), Match(path="/{a")])
    assert (caught.value.index, caught.value.field) == (1, "path")
    assert str(caught.value) == f"routes[1].match.path: {caught.value.message}"


def test_everything_that_keeps_a_request_from_a_route_is_named() -> None:
    (rule,) = read_rules(
        [
            Match(
                host="*.example.org",
                path="/b/**",
                methods=("POST", "PUT"),
                headers={"X-A": "*", "X-B": "1"},
                query={"page": r"~\d+"},
            )
        ]
    )
    request = Request("GET", b"/a", "/a", "page=x", Headers(), host="api.example.com")
    assert rule.mismatches(request) == [
        "host api.example.com is not *.example.org",
        "path /a is not under /b",
        "method GET is not POST or PUT",
        "header x-a is missing",
        "header x-b is not '1'",
        r"query parameter page does not match ~\d+",
    ]


@pytest.mark.parametrize(
    ("match", "words"),
    [
        (Match(host="a.example"), "host (none) is not a.example"),
        (Match(methods=("GET",)), "method POST is not GET"),
        (Match(methods=("GET", "PATCH", "PUT")), "method POST is not GET, PATCH or PUT"),
    ],
)
def test_one_reason_in_words(match: Match, words: str) -> None:
    (rule,) = read_rules([match])
    assert rule.mismatches(Request("POST", b"/", "/", "", Headers())) == [words]


def test_a_route_without_conditions_takes_everything() -> None:
    (rule,) = read_rules([Match()])
    assert rule.mismatches(Request("GET", b"/a", "/a", "x=1", Headers(), host="h")) == []
