"""why: who is told, and what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.contract import Request
from proxy.policies.why import Options, Why
from tests.unit.policies.world import World, a_request, upstream_response

SECRET = "correct horse battery"
PLACES = {
    "": "sidegate.yaml:7",
    "request_id": "default",
    "rate_limit": "sidegate.yaml:12",
    "cache": "sidegate.yaml:13",
}


@pytest.fixture
def toolkit(world: World) -> World:
    world.toolkit = replace(world.toolkit, route="api", places=PLACES)
    return world


def answer(world: World, request: Request, error: str = "", **options: Any) -> str | None:
    policy = Why(Options.model_validate(options), world.toolkit)
    policy.edit_request(request)
    assert "sidegate-why" not in request.headers, "the question goes no further"
    response = upstream_response()
    response.error = error
    policy.edit_response(request, response)
    return response.headers.get("sidegate-why")


def test_route_policies_rules_and_places(toolkit: World) -> None:
    request = a_request("/", ("Sidegate-Why", "1"), client_ip="10.1.2.3")
    request.decide("rate_limit", "refused", "rate_limited")
    request.decide("shield", "would_refuse", 'rule "942"')
    assert answer(toolkit, request, "rate_limited", clients="10.0.0.0/8") == (
        'route;name="api";at="sidegate.yaml:7", request_id;at="default", '
        'rate_limit;refused;by="rate_limited";at="sidegate.yaml:12", '
        'cache;at="sidegate.yaml:13", shield;would_refuse;by="rule \\"942\\"", '
        'error;code="rate_limited"'
    )


def test_several_decisions_of_one_policy_are_all_told(toolkit: World) -> None:
    request = a_request("/", ("Sidegate-Why", "1"))
    request.decide("cache", "admitted")
    request.decide("cache", "answered", "hit")
    told = answer(toolkit, request, clients=["0.0.0.0/0"])
    assert told is not None
    assert 'cache;admitted;answered;by="hit";at="sidegate.yaml:13"' in told


@pytest.mark.parametrize(
    ("asked", "client", "trusted", "options", "told"),
    [
        pytest.param("1", "10.1.2.3", False, {"clients": "10.0.0.0/8"}, True, id="client"),
        pytest.param("1", "192.0.2.7", False, {"clients": "10.0.0.0/8"}, False, id="stranger"),
        pytest.param("1", "", False, {"clients": "0.0.0.0/0"}, False, id="no address"),
        pytest.param(None, "10.1.2.3", True, {"clients": "10.0.0.0/8"}, False, id="not asked"),
        pytest.param(SECRET, "192.0.2.7", False, {"secret": SECRET}, True, id="secret"),
        pytest.param(SECRET + "x", "192.0.2.7", False, {"secret": SECRET}, False, id="wrong"),
        pytest.param("", "192.0.2.7", False, {"secret": SECRET}, False, id="empty"),
        pytest.param("", "192.0.2.7", False, {"clients": "10.0.0.0/8"}, False, id="no secret"),
        pytest.param("1", "192.0.2.7", True, {"secret": SECRET}, False, id="proxy, unwanted"),
        pytest.param("1", "192.0.2.7", True, {"trusted_proxies": True}, True, id="proxy"),
        pytest.param("1", "192.0.2.7", False, {"trusted_proxies": True}, False, id="no proxy"),
    ],
)
def test_who_is_told(
    toolkit: World,
    asked: str | None,
    client: str,
    trusted: bool,
    options: dict[str, Any],
    told: bool,
) -> None:
    fields = [] if asked is None else [("Sidegate-Why", asked)]
    request = a_request("/", *fields, client_ip=client, trusted=trusted)
    assert (answer(toolkit, request, **options) is not None) is told


def test_requests_without_a_route_are_told_so(world: World) -> None:
    world.toolkit = replace(world.toolkit, route="")
    request = a_request("/", ("Sidegate-Why", "1"))
    told = answer(world, request, "route_not_found", clients="0.0.0.0/0")
    assert told == 'no_route, error;code="route_not_found"'


def test_nothing_in_it_can_forge_another_field(toolkit: World) -> None:
    request = a_request("/", ("Sidegate-Why", "1"))
    request.decide("custom", "refused", 'a"\r\nSet-Cookie: b\\é' + "x" * 10_000)
    told = answer(toolkit, request, clients="0.0.0.0/0")
    assert told is not None
    assert told.isascii()
    assert told.isprintable()
    assert len(told) < 600


def test_somebody_has_to_be_told() -> None:
    with pytest.raises(ValidationError, match="nobody would be told"):
        Options()


def test_a_secret_can_not_be_guessed() -> None:
    with pytest.raises(ValidationError, match="at least 16"):
        Options(secret="short")
