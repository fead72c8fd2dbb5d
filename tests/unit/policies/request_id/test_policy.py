"""request_id: whose IDs are believed, and what becomes of the others."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from proxy.policies.request_id.options import Options
from proxy.policies.request_id.policy import POLICY, RequestId
from tests.unit.policies.world import WALL, World, a_request, upstream_response


def policy(world: World, **options: Any) -> RequestId:
    return RequestId(Options(**options), world.toolkit)


def test_a_new_id_is_a_uuid7_of_this_millisecond_and_goes_upstream(world: World) -> None:
    request = a_request()
    policy(world).edit_request(request)
    made = UUID(request.id)
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == int(WALL * 1000)
    assert request.headers.get_all("x-request-id") == [request.id]


def test_a_thousand_ids_differ_and_later_ones_sort_behind(world: World) -> None:
    made = policy(world)
    ids = []
    for _ in range(1000):
        request = a_request()
        made.edit_request(request)
        ids.append(request.id)
        # Two in a millisecond come in any order.
        world.wall += 0.0015
    assert len(set(ids)) == 1000
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("accept", "trusted", "kept"),
    [
        ("trusted", True, True),
        ("trusted", False, False),
        ("any", False, True),
        ("any", True, True),
        ("never", True, False),
    ],
)
def test_an_id_is_kept_by_who_sent_it(world: World, accept: str, trusted: bool, kept: bool) -> None:
    request = a_request("/", ("x-request-id", "abc-123"), trusted=trusted)
    policy(world, accept=accept).edit_request(request)
    assert (request.id == "abc-123") is kept
    assert request.headers.get_all("x-request-id") == [request.id]


@pytest.mark.parametrize(
    "came",
    ["", "a b", "a\tb", "a,b", 'a"b', "a\x1bb", "é", "<script>", "a" * 129, "a{b}", "a\\b"],
)
def test_an_id_that_could_forge_something_is_replaced(world: World, came: str) -> None:
    request = a_request("/", ("X-Request-ID", came), trusted=True)
    policy(world).edit_request(request)
    assert UUID(request.id).version == 7
    assert request.headers.get_all("x-request-id") == [request.id]


def test_two_ids_are_no_id(world: World) -> None:
    request = a_request("/", ("X-Request-ID", "one"), ("X-Request-ID", "two"), trusted=True)
    policy(world).edit_request(request)
    assert request.headers.get_all("x-request-id") == [request.id]
    assert UUID(request.id).version == 7


def test_the_longest_id_is_settable(world: World) -> None:
    for length, kept in ((16, True), (17, False)):
        request = a_request("/", ("X-Request-ID", "x" * length), trusted=True)
        policy(world, max_length=16).edit_request(request)
        assert (request.id == "x" * length) is kept


def test_the_client_gets_the_id_and_not_the_upstreams(world: World) -> None:
    request = a_request()
    response = upstream_response(200, ("X-Request-Id", "upstream's"), ("X-Request-ID", "again"))
    made = policy(world)
    made.edit_request(request)
    made.edit_response(request, response)
    assert response.headers.get_all("x-request-id") == [request.id]


def test_without_an_id_nothing_is_echoed(world: World) -> None:
    """As in shadow mode, where the request got none."""
    response = upstream_response(200, ("X-Request-ID", "upstream's"))
    policy(world).edit_response(a_request(), response)
    assert response.headers.get("x-request-id") == "upstream's"


def test_another_field_can_carry_it(world: World) -> None:
    request = a_request("/", ("X-Correlation-ID", "abc"), trusted=True)
    response = upstream_response()
    made = policy(world, header="X-Correlation-ID")
    made.edit_request(request)
    made.edit_response(request, response)
    assert request.id == "abc"
    assert response.headers.fields()[-1] == (b"X-Correlation-ID", b"abc")


@pytest.mark.parametrize("header", ["X Request", "", "X-Ü", "Host", "Content-Length", "a:b"])
def test_a_field_that_cannot_carry_it_is_refused(header: str) -> None:
    with pytest.raises(ValidationError):
        Options(header=header)


def test_it_is_on_by_default() -> None:
    assert POLICY.default
