"""rate_limit: who shares an allowance, and what a client beyond it is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.contract import Request
from proxy.errors import Refused
from proxy.policies.rate_limit import POLICY, Options, RateLimit, network
from tests.unit.policies.world import World, a_request


def policy(world: World, identity: str = "rate_limit/shop", **options: Any) -> RateLimit:
    toolkit = replace(world.toolkit, identity=identity)
    return RateLimit(Options.model_validate(options), toolkit)


async def admitted(limit: RateLimit, request: Request) -> bool:
    try:
        await limit.check(request)
    except Refused:
        return False
    return True


async def test_the_burst_is_admitted_then_one_an_interval(world: World) -> None:
    limit = policy(world, limit="5/min")
    assert [await admitted(limit, a_request()) for _ in range(7)] == [True] * 5 + [False] * 2
    world.now += 12
    assert [await admitted(limit, a_request()) for _ in range(2)] == [True, False]


async def test_burst_is_settable(world: World) -> None:
    limit = policy(world, limit="100/s", burst=3)
    assert [await admitted(limit, a_request()) for _ in range(4)] == [True] * 3 + [False]


@pytest.mark.parametrize(
    ("limit", "detail", "wait"),
    [
        ("1/s", "Limit of 1 request per second exceeded.", "1"),
        ("5/min", "Limit of 5 requests per minute exceeded.", "12"),
        ("7/min", "Limit of 7 requests per minute exceeded.", "9"),
        ("10/30s", "Limit of 10 requests per 30s exceeded.", "3"),
        ("100/s", "Limit of 100 requests per second exceeded.", "1"),
        ("1/day", "Limit of 1 request per day exceeded.", "86400"),
    ],
)
async def test_what_the_refused_are_told(world: World, limit: str, detail: str, wait: str) -> None:
    gate = policy(world, limit=limit, burst=1)
    await gate.check(a_request())
    with pytest.raises(Refused) as raised:
        await gate.check(a_request())
    assert (raised.value.status, raised.value.code) == (429, "rate_limited")
    assert raised.value.detail == detail
    assert raised.value.headers == (("Retry-After", wait),)
    world.now += float(wait)
    await gate.check(a_request())


ONE = "192.0.2.1"
TWO = "192.0.2.2"


@pytest.mark.parametrize(
    ("key", "first", "second", "shared"),
    [
        ("client_ip", a_request(client_ip=ONE), a_request(client_ip=ONE), True),
        ("client_ip", a_request(client_ip=ONE), a_request(client_ip=TWO), False),
        ("client_ip", a_request(client_ip="2001:db8::1"), a_request(client_ip="2001:db8::2"), True),
        (
            "client_ip",
            a_request(client_ip="2001:db8::1"),
            a_request(client_ip="2001:db8:0:1::1"),
            False,
        ),
        ("client_ip", a_request(client_ip=ONE), a_request(client_ip=f"::ffff:{ONE}"), True),
        (
            "client_ip",
            a_request(client_ip=f"::ffff:{ONE}"),
            a_request(client_ip=f"::ffff:{TWO}"),
            False,
        ),
        ("client_ip", a_request(client_ip=""), a_request(client_ip=""), True),
        ("global", a_request(client_ip=ONE), a_request(client_ip=TWO), True),
        (
            "header:X-Key",
            a_request("/", ("x-key", "a"), client_ip=ONE),
            a_request("/", ("X-Key", "a"), client_ip=TWO),
            True,
        ),
        (
            "header:X-Key",
            a_request("/", ("X-Key", "a"), client_ip=ONE),
            a_request("/", ("X-Key", "b"), client_ip=ONE),
            False,
        ),
        ("header:X-Key", a_request(client_ip=ONE), a_request(client_ip=ONE), True),
        ("header:X-Key", a_request(client_ip=ONE), a_request(client_ip=TWO), False),
        (
            "header:X-Key",
            a_request("/", ("X-Key", ONE), client_ip=TWO),
            a_request(client_ip=ONE),
            False,
        ),
    ],
)
async def test_who_shares_an_allowance(
    world: World, key: str, first: Request, second: Request, shared: bool
) -> None:
    limit = policy(world, limit="1/min", key=key)
    assert await admitted(limit, first)
    assert await admitted(limit, second) is not shared


async def test_an_allowance_survives_a_reload_but_not_a_change(world: World) -> None:
    assert await admitted(policy(world, limit="1/min"), a_request())
    assert not await admitted(policy(world, limit="1/min"), a_request())
    other = policy(world, identity="rate_limit/other", limit="1/min")
    assert await admitted(other, a_request())


def test_an_odd_address_is_a_key_of_bounded_length() -> None:
    assert network("fe80::1%eth0") == network("fe80::2")
    assert network(":" * 1000) == ":" * 64


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "Field required"),
        ({"limit": "5"}, "not a rate"),
        ({"limit": "5/min", "burst": 0}, "greater than or equal to 1"),
        ({"limit": "5/min", "key": "ip"}, "client_ip, global or header:NAME"),
        ({"limit": "5/min", "key": "header:"}, "not a field name"),
        ({"limit": "5/min", "key": "header:a b"}, "not a field name"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)


def test_it_has_a_short_form() -> None:
    assert POLICY.shorthand == "limit"
