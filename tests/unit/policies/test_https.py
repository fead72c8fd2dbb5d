"""https: what came by plain HTTP is sent on."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.contract import Decision, Response
from proxy.errors import GatewayError, Refused
from proxy.policies.https import Https, Options
from tests.unit.policies.world import World, a_request


def policy(world: World, **options: Any) -> Https:
    return Https(Options(**options), world.toolkit)


def located(response: Response | None) -> str:
    assert response is not None
    return response.headers.get("location") or ""


@pytest.mark.parametrize(
    ("target", "port", "location"),
    [
        ("/", 443, "https://example.com/"),
        ("/a%20b/?c=%2F&d", 443, "https://example.com/a%20b/?c=%2F&d"),
        ("//evil.test/", 443, "https://example.com//evil.test/"),
        ("*", 443, "https://example.com"),
        ("/a", 8443, "https://example.com:8443/a"),
    ],
)
def test_where_it_is_sent(world: World, target: str, port: int, location: str) -> None:
    request = a_request(target, host="example.com")
    response = policy(world, port=port).answer(request)
    assert located(response) == location
    assert response is not None
    assert response.status == 308
    assert request.decisions == [Decision("https", "answered", location)]


def test_what_came_by_https_passes(world: World) -> None:
    request = a_request(host="example.com", scheme="https")
    assert policy(world).answer(request) is None
    assert request.decisions == []


def test_without_a_host_there_is_nowhere_to_send_it(world: World) -> None:
    with pytest.raises(Refused) as raised:
        policy(world).answer(a_request(host=""))
    assert raised.value.code == "invalid_host"


def test_shadow_sends_nobody_anywhere(world: World) -> None:
    shadow = policy(world, mode="shadow")
    request = a_request(host="example.com")
    assert shadow.answer(request) is None
    assert request.decisions[0].outcome == "would_answer"
    request = a_request(host="")
    assert shadow.answer(request) is None
    assert request.decisions == [Decision("https", "would_refuse", "invalid_host")]


def test_a_request_that_failed_is_not_sent_on(world: World) -> None:
    request = a_request(host="example.com")
    request.failure = GatewayError("bad_request")
    assert policy(world).answer(request) is None
