"""The routing table: which route takes a request, what is captured, and how it is explained."""

from __future__ import annotations

import itertools
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings

from proxy.config.model import Match
from proxy.contract import Request
from proxy.http1.headers import Headers
from proxy.routing.table import Found, MatchError, Miss, Table
from tests.unit.routing import oracle


def ask(
    path: str,
    method: str = "GET",
    host: str = "api.example.com",
    query: str = "",
    **fields: str,
) -> Request:
    headers = Headers((name.encode(), value.encode()) for name, value in fields.items())
    return Request(method, path.encode(), path, query, headers, host=host)


def table(*matches: Match) -> Table[int]:
    return Table([(match, index) for index, match in enumerate(matches)])


def taken(found: Found[int] | Miss) -> int | None:
    return found.value if isinstance(found, Found) else None


SHOP = table(
    Match(),
    Match(path="/products/**"),
    Match(path="/products/{id}"),
    Match(path="/products/new"),
    Match(path="/products/{id}", methods=("PUT",)),
    Match(path="/products/**", headers={"X-Beta": "*"}),
    Match(path="/products/**", query={"preview": "1"}),
    Match(path="~/products/.*"),
    Match(host="*.example.com", path="/admin/**"),
    Match(host="api.example.com", path="/admin/**", methods=("GET",)),
)


@pytest.mark.parametrize(
    ("request_", "route", "captures"),
    [
        (ask("/"), 0, {"rest": ""}),
        (ask("/elsewhere/a"), 0, {"rest": "elsewhere/a"}),
        (ask("*", "OPTIONS"), 0, {"rest": ""}),
        (ask("/products"), 1, {"rest": ""}),
        (ask("/products/7"), 2, {"id": "7"}),
        (ask("/products/new"), 3, {}),
        (ask("/products/7", "PUT"), 4, {"id": "7"}),
        (ask("/products/7", xbeta="1"), 2, {"id": "7"}),
        (ask("/products/7/a", **{"x-beta": ""}), 5, {"rest": "7/a"}),
        (ask("/products/7/a", query="preview=0&preview=1"), 6, {"rest": "7/a"}),
        (ask("/products/7/a", query="preview=0"), 1, {"rest": "7/a"}),
        (ask("/products/7/a", query="preview=1", **{"x-beta": "1"}), 5, {"rest": "7/a"}),
        # A method that doesn't fit leads on to a less specific host.
        (ask("/admin/a"), 9, {"rest": "a"}),
        (ask("/admin/a", "HEAD"), 9, {"rest": "a"}),
        (ask("/admin/a", "POST"), 8, {"rest": "a"}),
        (ask("/admin/a", host="www.example.com"), 8, {"rest": "a"}),
        (ask("/admin/a", host="example.com"), 0, {"rest": "admin/a"}),
        (ask("/admin/a", host=""), 0, {"rest": "admin/a"}),
    ],
)
def test_the_most_specific_route_takes_the_request(
    request_: Request, route: int, captures: dict[str, str]
) -> None:
    found = SHOP.find(request_)
    assert isinstance(found, Found)
    assert (found.value, dict(found.captures)) == (route, captures)


READERS = table(
    Match(path="/a", methods=("GET", "DELETE")),
    Match(path="/{x}", methods=("POST",)),
    Match(path="/a", methods=("PUT",), headers={"X-Key": "1"}),
    Match(path="/a", methods=("PATCH",), query={"dry": "*"}),
    Match(path="/a", methods=("LOCK",), host="other.example.com"),
)


@pytest.mark.parametrize(
    ("request_", "allowed"),
    [
        (ask("/nowhere/at/all"), ()),
        (ask("/a", "OPTIONS"), ("DELETE", "GET", "HEAD", "POST")),
        (ask("/b"), ("POST",)),
        (ask("/a", "OPTIONS", **{"x-key": "1"}), ("DELETE", "GET", "HEAD", "POST", "PUT")),
        (ask("/a", "OPTIONS", query="dry"), ("DELETE", "GET", "HEAD", "PATCH", "POST")),
    ],
)
def test_a_miss_names_the_methods_that_would_have_matched(
    request_: Request, allowed: tuple[str, ...]
) -> None:
    miss = READERS.find(request_)
    assert isinstance(miss, Miss)
    assert miss.allowed == allowed


def test_an_empty_table_takes_nothing() -> None:
    assert repr(table().find(ask("/"))) == "Miss(())"


def test_a_wrong_pattern_names_its_route_and_key() -> None:
    with pytest.raises(MatchError, match=r"routes\[1\]\.match\.path: '/a\*'"):
        table(Match(), Match(path="/a*"))


@given(matches=oracle.ROUTES, request=oracle.REQUESTS)
@settings(max_examples=400, deadline=None)
def test_the_table_agrees_with_testing_every_route_in_order(
    matches: list[Match], request: Request
) -> None:
    found = table(*matches).find(request)
    expected = oracle.choose(matches, request)
    if expected is None:
        assert isinstance(found, Miss)
        assert found.allowed == oracle.allowed(matches, request)
    else:
        assert isinstance(found, Found)
        assert found.value == expected
        assert dict(found.captures) == oracle.captures(matches[expected], request.path)


@given(matches=oracle.ROUTES, request=oracle.REQUESTS)
@settings(max_examples=150, deadline=None)
def test_the_explanation_names_the_route_that_is_taken(
    matches: list[Match], request: Request
) -> None:
    routes = table(*matches)
    verdicts = routes.explain(request)
    assert sorted(verdict.index for verdict in verdicts) == list(range(len(matches)))
    winner = next((verdict.index for verdict in verdicts if verdict.matched), None)
    assert winner == taken(routes.find(request))
    assert all(verdict.reason for verdict in verdicts)


def test_each_route_is_explained_in_the_order_of_trial() -> None:
    routes = table(
        Match(),
        Match(path="/a", methods=("POST",)),
        Match(path="/a"),
        Match(path="/a/**"),
        Match(host="*.example.org"),
    )
    verdicts = routes.explain(ask("/a"))
    assert [(verdict.index, verdict.matched, verdict.reason) for verdict in verdicts] == [
        (4, False, "host api.example.com is not *.example.org"),
        (1, False, "method GET is not POST"),
        (2, True, "matches, and is tried first"),
        (3, True, "matches, but route 3 is more specific: exact path before prefix"),
        (0, True, "matches, but route 3 is more specific: exact path before catch-all"),
    ]
    named = routes.explain(ask("/a"), ["rest", "post", "login", "under", "org"])
    assert named[3].reason == "matches, but login is more specific: exact path before prefix"


def count_steps(action: Callable[[], object]) -> int:
    """How many instructions of Python an action takes: work without the noise of time."""
    steps = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    try:
        # From 3.12 on instructions are told only where tracing began after they were asked for.
        for _ in range(2):
            steps = 0
            sys.settrace(trace)
            action()
    finally:
        sys.settrace(before)
    return steps


def crowd(size: int, host: str | None) -> Table[int]:
    """A table of `size` distinct routes of every kind but regular expressions."""
    forms = ("/things/{n}", "/v{n}/**", "/users/{{id}}/{n}", "/{{tenant}}/{n}/**", "/s{n}/{{id}}")
    return table(
        *(
            Match(
                path=forms[n % len(forms)].format(n=n),
                host=None if host is None else host.format(n=n),
                methods=("GET",) if n % 2 else (),
            )
            for n in range(size)
        )
    )


@pytest.mark.parametrize("host", [None, "api.example.com", "*.example.com", "*.h{n}.example.com"])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/things/5", "h5"),
        ("/v6/a/b", "h6"),
        ("/users/alice/7", "h7"),
        ("/acme/8/a/b/c", "h8"),
        ("/s9/alice", "h9"),
        ("/nothing/here", "h1"),
        ("/things/5/and/more", "h5"),
    ],
)
def test_a_thousand_routes_cost_no_more_than_ten(host: str | None, path: str, name: str) -> None:
    asked = "api.example.com" if host == "api.example.com" else f"api.{name}.example.com"
    request = ask(path, host=asked)
    few, many = crowd(10, host), crowd(1000, host)
    assert taken(few.find(request)) == taken(many.find(request))
    steps = count_steps(lambda: few.find(request))
    assert 0 < count_steps(lambda: many.find(request)) <= steps * 1.2


def alike(size: int, **of_each: Callable[[int], Any]) -> Table[int]:
    """A table of `size` routes that differ in this alone, and of one that differs in it too."""
    first = {key: value(-1) for key, value in of_each.items()}
    return table(
        Match(**{"path": "/**", **first}),
        *(
            Match(**{"path": "/alike", **{key: value(n) for key, value in of_each.items()}})
            for n in range(size)
        ),
    )


@pytest.mark.parametrize(
    ("of_each", "request_"),
    [
        ({"path": lambda n: f"~/alike/{n}/[a-z]+"}, ask("/alike/7/x")),
        ({"path": lambda n: f"~/v{n}(/|/.*)"}, ask("/v7/x")),
        ({"path": lambda n: f"~.*/item{n}"}, ask("/shop/lamps/item7")),
        ({"path": lambda n: f"~(?i)/[a-z]+/v{n}/.*"}, ask("/API/v7/users/12")),
        ({"headers": lambda n: {"X-Tenant": f"t{n}"}}, ask("/alike", **{"x-tenant": "t7"})),
        (
            {"headers": lambda n: {"X-Tenant": f"t{n}", "X-Beta": "*"}},
            ask("/alike", **{"x-tenant": "t7", "x-beta": "1"}),
        ),
        ({"query": lambda n: {"do": f"a{n}"}}, ask("/alike", query="do=a7")),
        ({"query": lambda n: {"do": f"a{n}"}}, ask("/alike", query="do=a7&do=b")),
        ({"query": lambda n: {"do": f"a{n}", "x": "1"}}, ask("/alike", query="do=a7&x=1")),
    ],
)
def test_a_thousand_that_differ_in_one_thing_cost_no_more_than_ten(
    of_each: dict[str, Callable[[int], Any]], request_: Request
) -> None:
    few, many = alike(10, **of_each), alike(1000, **of_each)
    assert taken(few.find(request_)) == taken(many.find(request_)) == 8
    steps = count_steps(lambda: few.find(request_))
    assert 0 < count_steps(lambda: many.find(request_)) <= steps * 1.2


HOSTILE = table(
    # Every way to write five segments as `a` or a capture: the widest tree of this depth.
    *(
        Match(path="".join("/a" if n >> bit & 1 else f"/{{c{bit}}}" for bit in range(5)) + end)
        for n in range(32)
        for end in ("/b", "/b/**")
    ),
    Match(path="/a/**", methods=("POST",)),
    Match(host="*.b.c.d.example", path="/a/**"),
)


@pytest.mark.parametrize("path", ["/a", "//", "/a/b", "/%", "/{c}", "/a "])
def test_a_hostile_path_costs_no_more_than_one_as_deep_as_the_patterns(path: str) -> None:
    """8 KiB of segments, and the widest tree: the work is bounded by the routes alone."""
    short, long = ask(path * 8), ask(path * (8192 // len(path)))
    assert taken(HOSTILE.find(short)) == taken(HOSTILE.find(long))
    steps = count_steps(lambda: HOSTILE.find(short))
    assert count_steps(lambda: HOSTILE.find(long)) <= steps * 1.1


def test_a_hostile_path_is_not_cut_into_more_pieces_than_the_patterns_have() -> None:
    request = ask("/abc" * 2048)
    tracemalloc.start()
    try:
        HOSTILE.find(request)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Its unread tail is copied once; 2,048 pieces would take 120 KiB.
    assert peak < 40 * 1024


def test_a_walk_visits_each_place_of_the_tree_at_most_once() -> None:
    """Twice as many routes on all the ways that a path can take are about twice the work."""

    def ways(depth: int) -> Table[int]:
        paths = itertools.product(*(("/a", f"/{{c{place}}}") for place in range(depth)))
        return table(*(Match(path="".join(path) + "/end") for path in paths))

    request = ask("/a" * 4000)
    steps = [count_steps(partial(ways(depth).find, request)) for depth in (6, 7, 8)]
    assert steps[1] <= steps[0] * 2.2
    assert steps[2] <= steps[1] * 2.2


@pytest.mark.parametrize("host", ["a." * 4000 + "example", "." * 8000, "a" * 8000])
def test_a_hostile_host_costs_no_more_than_one_as_deep_as_the_patterns(host: str) -> None:
    usual = count_steps(lambda: HOSTILE.find(ask("/a", host="a.b.c.d.e.example")))
    assert count_steps(lambda: HOSTILE.find(ask("/a", host=host))) <= usual * 1.1


@pytest.mark.interpreted
def test_a_query_is_read_only_where_a_route_asks_for_it_and_once() -> None:
    query = "&".join(f"p{n}={n}" for n in range(1000))
    indifferent = table(Match(path="/a"))
    one = table(Match(path="/a", query={"x": "1"}))
    several = table(*(Match(path="/a", query={"x": str(n)}) for n in range(5)))
    request = ask("/a", query=query)
    reads = [count_steps(partial(routes.find, request)) for routes in (indifferent, one, several)]
    assert reads[0] < 1000 < reads[1]
    assert reads[2] < reads[1] * 1.2
