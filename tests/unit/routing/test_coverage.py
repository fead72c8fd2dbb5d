"""Which routes can never be taken, and that none is called so that can."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.model import Match
from proxy.contract import Request
from proxy.routing.coverage import fixed_beginning, unreachable
from proxy.routing.match import MatchError
from tests.unit.routing import oracle


@pytest.mark.parametrize(
    ("matches", "dead"),
    [
        # The same twice.
        ([Match(path="/a"), Match(path="/a")], [(1, 0)]),
        ([Match(), Match()], [(1, 0)]),
        ([Match(path="/{a}/b"), Match(path="/{x}/b")], [(1, 0)]),
        ([Match(path="/{a}/**"), Match(path="/{x}/**")], [(1, 0)]),
        ([Match(host="[::1]"), Match(host="[0::1]")], [(1, 0)]),
        # Three times: all by the first.
        ([Match(), Match(), Match()], [(1, 0), (2, 0)]),
        # Methods.
        ([Match(methods=("GET", "POST")), Match(methods=("POST",))], [(1, 0)]),
        ([Match(methods=("GET",)), Match(methods=("HEAD",))], [(1, 0)]),
        ([Match(methods=("HEAD",)), Match(methods=("GET",))], []),
        ([Match(methods=("GET",)), Match()], []),
        ([Match(), Match(methods=("GET",))], []),
        ([Match(methods=("POST",)), Match(methods=("GET", "POST"))], []),
        # Conditions.
        ([Match(headers={"a": "*"}), Match(headers={"A": "1"})], [(1, 0)]),
        ([Match(headers={"a": "1"}), Match(headers={"a": "*"})], []),
        ([Match(headers={"a": "1"}), Match(headers={"a": "2"})], []),
        ([Match(query={"a": "1"}), Match(query={"a": "1"})], [(1, 0)]),
        ([Match(query={"a": "*"}), Match(headers={"a": "1"})], []),
        ([Match(headers={"a": "1"}), Match(headers={"a": "1", "b": "1"})], []),
        ([Match(headers={"a": "*"}), Match(headers={"a": "1"}, methods=("PUT",))], []),
        # What is narrower is tried first, so nothing covers it.
        ([Match(), Match(path="/a"), Match(host="a.com"), Match(host="*.com")], []),
        ([Match(path="/a/**"), Match(path="/a"), Match(path="/a/{b}")], []),
        ([Match(path="/a"), Match(path="/a/**")], []),
        # A prefix is tried before every regular expression.
        ([Match(path="~/api/v[0-9]+/.*"), Match(path="/api/**")], [(0, 1)]),
        ([Match(path="~/api/v1/.*"), Match(path="/{x}/v1/**")], [(0, 1)]),
        ([Match(path="~/api(/.*)?"), Match(path="/api/**")], []),
        ([Match(path="~/apis/.*"), Match(path="/api/**")], []),
        ([Match(path="~/api/.*|/b"), Match(path="/api/**")], []),
        ([Match(path="~/api/.*"), Match(path="/api/**", methods=("GET",))], []),
        ([Match(path="~/api/.*", methods=("GET",)), Match(path="/api/**")], [(0, 1)]),
        ([Match(path="~/api/.*"), Match(path="/api/**", host="a.com")], []),
        ([Match(path="~/api/.*"), Match(path="/**")], []),
        ([Match(path="~/a.*"), Match(path="~/a.*")], [(1, 0)]),
    ],
)
def test_a_route_is_dead_when_one_other_takes_all_its_requests(
    matches: list[Match], dead: list[tuple[int, int]]
) -> None:
    assert unreachable(matches) == dead


def test_a_wrong_pattern_is_raised() -> None:
    with pytest.raises(MatchError):
        unreachable([Match(path="a")])


@given(
    matches=st.lists(oracle.MATCHES, min_size=2, max_size=15),
    requests=st.lists(oracle.REQUESTS, min_size=10, max_size=40),
)
@settings(max_examples=150, deadline=None)
def test_no_request_reaches_a_dead_route(matches: list[Match], requests: list[Request]) -> None:
    covering = dict(unreachable(matches))
    for request in requests:
        assert oracle.choose(matches, request) not in covering
    for dead, coverer in covering.items():
        assert oracle.sort_key(matches, coverer) < oracle.sort_key(matches, dead)
        for request in requests:
            if oracle.choose([matches[dead]], request) is not None:
                assert oracle.choose([matches[coverer]], request) is not None


@given(matches=oracle.ROUTES, place=st.integers(0, 14))
def test_a_copy_of_a_route_is_always_found_dead(matches: list[Match], place: int) -> None:
    if matches:
        matches = [*matches, matches[place % len(matches)]]
        assert len(matches) - 1 in dict(unreachable(matches))


@pytest.mark.parametrize(
    "route",
    [
        lambda n: Match(path=f"/a{n}"),
        lambda n: Match(path=f"/{{a}}/{n}/**"),
        lambda n: Match(path=f"~/a/{n}/.*"),
        lambda n: Match(path=f"/a{n // 2}/**" if n % 2 else f"~/a{n // 2}/.*"),
        lambda n: Match(host=f"h{n}.example.com"),
        lambda n: Match(headers={"tenant": str(n), "stage": "*"}),
        lambda n: Match(query={"tenant": f"~{n}"}, methods=("GET",)),
        lambda n: Match(),
    ],
    ids=["exact", "prefix", "regex", "covered regex", "host", "header", "query", "dead"],
)
def test_four_times_the_routes_are_about_four_times_the_work(
    route: Callable[[int], Match],
) -> None:
    """Calls counted, not seconds: comparing all pairs would make them sixteen times as many."""
    few, many = [route(n) for n in range(250)], [route(n) for n in range(1000)]
    assert count_calls(lambda: unreachable(many)) < count_calls(lambda: unreachable(few)) * 5


def count_calls(action: Callable[[], object]) -> int:
    calls = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    # Expressions that `re` remembers would cost nothing the second time.
    re.purge()
    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    ("regex", "beginning"),
    [
        ("/api/v[0-9]+", "/api/v"),
        ("^/api/.*", "/api/"),
        (r"/a\.b\/c+", "/a.b/c"),
        ("/ab?", "/a"),
        ("/ab*", "/a"),
        ("/ab{0,1}", "/a"),
        (r"/a\.?", "/a"),
        (r"/a\\\\?", "/a\\"),
        (r"/a\d", "/a"),
        ("/a(b|c)", "/a"),
        ("/a(b(c|d)|e)", "/a"),
        ("/a[|]", "/a"),
        (r"/a[\]|]", "/a"),
        (r"/a\|b", "/a|b"),
        ("/a|/b", ""),
        ("/a(b)|/c", ""),
        (r"/a[\]]|/b[x]", ""),
        ("/a[]]|/b[x]", ""),
        ("/a(?#(|)x|/b", ""),
        ("(?i)/a", ""),
        ("", ""),
    ],
)
def test_the_fixed_beginning_of_a_regular_expression(regex: str, beginning: str) -> None:
    assert fixed_beginning(regex) == beginning
