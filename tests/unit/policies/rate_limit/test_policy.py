"""rate_limit: whom it refuses, what it tells, and what it settles after the response."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from proxy.contract import NO_ROUTE, Handler, Mode, Request, Response
from proxy.errors import GatewayError, Refused
from proxy.policies.rate_limit.options import Options
from proxy.policies.rate_limit.policy import POLICY, RateLimit
from proxy.runtime.chain import BoundPolicy, bind
from proxy.store.memory import Memory
from tests.unit.policies.world import World, a_request, answering, failing, upstream_response
from tests.unit.policies.world import refusal as verdict
from tests.unit.store.workers import Jammed


def policy(world: World, scope: str = "", **options: Any) -> RateLimit:
    toolkit = replace(world.toolkit, scope=scope)
    return RateLimit(Options.model_validate(options), toolkit)


def admitted(limit: RateLimit, request: Request | None = None) -> bool:
    return verdict(limit, a_request() if request is None else request) is None


def refusal(limit: RateLimit, request: Request | None = None) -> Refused:
    refused = verdict(limit, a_request() if request is None else request)
    assert refused is not None
    return refused


def told(limit: RateLimit, request: Request | None = None) -> dict[str, str]:
    """The fields of a response to an admitted request."""
    request = a_request() if request is None else request
    assert verdict(limit, request) is None
    response = upstream_response()
    limit.edit_response(request, response)
    return dict(response.headers.items())


OK = answering(upstream_response())


async def send(
    limit: RateLimit,
    forward: Handler = OK,
    request: Request | None = None,
    mode: Mode = "enforce",
) -> Response:
    """The response of a service behind the policy. Raises what comes out instead."""
    handler = bind([BoundPolicy("rate_limit", mode, limit)], forward)
    return await handler(a_request() if request is None else request)


async def admits(limit: RateLimit, forward: Handler = OK) -> bool:
    """Whether a whole exchange comes about."""
    try:
        await send(limit, forward)
    except Refused:
        return False
    return True


@contextlib.asynccontextmanager
async def holding(limit: RateLimit, mode: Mode = "enforce") -> AsyncIterator[None]:
    """A request is in flight meanwhile, and then answered with 200."""
    asked, free = asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> Response:
        asked.set()
        await free.wait()
        return upstream_response()

    task = asyncio.ensure_future(send(limit, wait, mode=mode))
    await asked.wait()
    try:
        yield
    finally:
        free.set()
        await task


def count(world: World, name: str, *labels: str) -> float:
    """A counter of the limits."""
    return world.journal.counts[f"sidegate_rate_limit_{name}_total", *labels].value


def jam(world: World) -> None:
    """Let no lock of the store be had."""
    store = world.toolkit.store
    assert isinstance(store, Memory)
    store.region.locks = Jammed()  # type: ignore[assignment]


class TestAdmission:
    def test_the_burst_is_admitted_then_one_an_interval(self, world: World) -> None:
        limit = policy(world, limit="5/min")
        assert [admitted(limit) for _ in range(7)] == [True] * 5 + [False] * 2
        world.now += 12
        assert [admitted(limit) for _ in range(2)] == [True, False]

    def test_burst_is_settable(self, world: World) -> None:
        limit = policy(world, limit="100/s", burst=3)
        assert [admitted(limit) for _ in range(4)] == [True] * 3 + [False]

    def test_several_limits_hold_together(self, world: World) -> None:
        limit = policy(world, limits=["3/s", {"limit": "5/hour", "algorithm": "fixed_window"}])
        assert [admitted(limit) for _ in range(4)] == [True] * 3 + [False]
        world.now += 1
        assert [admitted(limit) for _ in range(3)] == [True] * 2 + [False]

    def test_limits_of_several_keys_hold_together(self, world: World) -> None:
        limit = policy(world, limits=["2/min", {"limit": "3/min", "key": "global"}])
        one, two = a_request(client_ip="192.0.2.1"), a_request(client_ip="192.0.2.2")
        assert [admitted(limit, one) for _ in range(9)] == [True] * 2 + [False] * 7
        assert [admitted(limit, two) for _ in range(2)] == [True, False]

    def test_an_entry_for_all_routes_counts_for_all_of_them(self, world: World) -> None:
        first, second = policy(world, limit="1/min"), policy(world, limit="1/min")
        assert admitted(first)
        assert not admitted(second)
        assert admitted(policy(world, scope="login", limit="1/min"))

    def test_an_allowance_survives_a_reload_but_not_a_change(self, world: World) -> None:
        assert admitted(policy(world, limit="2/min"))
        again = policy(world, limit="2/min", fields="none", log_key="plain")
        assert [admitted(again), admitted(again)] == [True, False]
        assert admitted(policy(world, limit="3/min"))

    def test_it_has_a_short_form(self) -> None:
        assert POLICY.shorthand == "limit"


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "detail", "wait"),
        [
            ({"limit": "1/s"}, "Limit of 1 request per second exceeded.", "1"),
            ({"limit": "5/min"}, "Limit of 5 requests per minute exceeded.", "12"),
            ({"limit": "7/min"}, "Limit of 7 requests per minute exceeded.", "9"),
            ({"limit": "10/30s"}, "Limit of 10 requests per 30s exceeded.", "3"),
            ({"limit": "100/s"}, "Limit of 100 requests per second exceeded.", "1"),
            ({"limit": "1/day"}, "Limit of 1 request per day exceeded.", "86400"),
        ],
    )
    def test_what_the_refused_are_told(
        self, world: World, options: dict[str, Any], detail: str, wait: str
    ) -> None:
        gate = policy(world, burst=1, fields="none", **options)
        gate.check(a_request())
        refused = refusal(gate)
        assert (refused.status, refused.code) == (429, "rate_limited")
        assert refused.detail == detail
        assert refused.headers == (("Retry-After", wait),)
        world.now += float(wait)
        gate.check(a_request())

    def test_of_several_the_one_with_the_longest_wait_is_named(self, world: World) -> None:
        gate = policy(world, limits=["1/s", "1/min"])
        gate.check(a_request())
        refused = refusal(gate)
        assert refused.detail == "Limit of 1 request per minute exceeded."
        assert dict(refused.headers)["Retry-After"] == "60"

    def test_those_that_say_the_same_are_one(self, world: World) -> None:
        gate = policy(world, limit="1/min")
        assert admitted(gate)
        assert refusal(gate) is refusal(gate)
        world.now += 1
        assert refusal(gate).headers[0] == ("Retry-After", "59")

    def test_a_request_that_never_fits_is_not_told_to_come_again(self, world: World) -> None:
        gate = policy(world, limit="5/min", cost="header:X-Cost")
        refused = refusal(gate, a_request("/", ("X-Cost", "6")))
        assert refused.detail == "The request costs more than 5, the most at once."
        assert "Retry-After" not in dict(refused.headers)

    async def test_those_in_flight(self, world: World) -> None:
        limit = policy(world, limit=1, algorithm="concurrency")
        async with holding(limit):
            with pytest.raises(Refused) as raised:
                await send(limit)
        assert raised.value.detail == "Limit of 1 request at one time exceeded."
        assert dict(raised.value.headers)["Retry-After"] == "1"

    def test_closed_without_a_store_is_another_refusal(self, world: World) -> None:
        jam(world)
        gate = policy(world, limit="5/min", on_store_failure="closed")
        refused = refusal(gate)
        assert (refused.status, refused.code) == (503, "limit_unavailable")


class TestFields:
    def test_the_draft_s(self, world: World) -> None:
        limit = policy(world, limit="5/min")
        assert told(limit)["ratelimit"] == '"5/minute";r=4;t=12'
        assert told(limit)["ratelimit-policy"] == '"5/minute";q=5;w=60'

    def test_on_a_refusal_as_well(self, world: World) -> None:
        limit = policy(world, limit="1/min")
        limit.check(a_request())
        assert refusal(limit).headers == (
            ("Retry-After", "60"),
            ("RateLimit", '"1/minute";r=0;t=60'),
            ("RateLimit-Policy", '"1/minute";q=1;w=60'),
        )

    async def test_all_limits_are_told_of(self, world: World) -> None:
        limit = policy(
            world,
            limits=[
                {"limit": "10/s", "burst": 20, "name": "fast"},
                {"limit": "4/min", "algorithm": "sliding_window", "key": "global"},
                {"limit": 3, "algorithm": "concurrency"},
            ],
        )
        response = await send(limit)
        fields = dict(response.headers.items())
        assert fields["ratelimit-policy"] == (
            '"fast";q=20;w=2, "4/minute";q=4;w=60, "3 at once";q=3;qu="concurrent-requests"'
        )
        assert fields["ratelimit"].startswith('"fast";r=19;t=1, "4/minute";r=3;t=')
        assert fields["ratelimit"].endswith('"3 at once";r=2')

    def test_the_older_ones(self, world: World) -> None:
        limit = policy(world, limits=["10/s", "4/min"], fields="legacy")
        fields = told(limit)
        assert fields["x-ratelimit-limit"] == "4"
        assert fields["x-ratelimit-remaining"] == "3"
        assert fields["x-ratelimit-reset"] == "15"
        assert "ratelimit" not in fields

    def test_none(self, world: World) -> None:
        limit = policy(world, limit="5/min", fields="none")
        assert not hasattr(limit, "edit_response")

    def test_shadow_tells_nobody(self, world: World) -> None:
        assert not hasattr(policy(world, limit="5/min", mode="shadow"), "edit_response")

    @pytest.mark.parametrize(
        ("fields", "field", "theirs", "kept"),
        [
            ("draft", "RateLimit", '"own";r=1;t=9', '"own";r=1;t=9, "5/minute";r=4;t=12'),
            ("legacy", "X-RateLimit-Remaining", "1", "1"),
            ("legacy", "X-RateLimit-Remaining", "4", "4"),
            ("legacy", "X-RateLimit-Remaining", "100", "4"),
            ("legacy", "X-RateLimit-Remaining", "soon", "soon"),
        ],
    )
    def test_the_service_s_own_fields_are_never_loosened(
        self, world: World, fields: str, field: str, theirs: str, kept: str
    ) -> None:
        limit = policy(world, limit="5/min", fields=fields)
        request, response = a_request(), upstream_response(200, (field, theirs))
        limit.check(request)
        limit.edit_response(request, response)
        assert response.headers.get(field.lower()) == kept


class TestPrefixes:
    @pytest.mark.parametrize(
        ("options", "one", "other", "alike"),
        [
            ({}, "192.0.2.1", "192.0.2.2", False),
            ({"ipv4_prefix": 24}, "192.0.2.1", "192.0.2.2", True),
            ({"ipv4_prefix": 24}, "192.0.2.1", "192.0.3.1", False),
            ({}, "2001:db8::1", "2001:db8:0:0:ffff::1", True),
            ({}, "2001:db8::1", "2001:db8:0:1::1", False),
            ({"ipv6_prefix": 48}, "2001:db8::1", "2001:db8:0:1::1", True),
            ({"ipv6_prefix": 128}, "2001:db8::1", "2001:db8::2", False),
        ],
    )
    def test_how_much_of_an_address_makes_a_client(
        self, world: World, options: dict[str, Any], one: str, other: str, alike: bool
    ) -> None:
        limit = policy(world, limit="1/min", **options)
        assert admitted(limit, a_request(client_ip=one))
        assert admitted(limit, a_request(client_ip=other)) is not alike


class TestExemptions:
    def test_by_address(self, world: World) -> None:
        limit = policy(world, limit="1/min", exempt={"clients": ["10.0.0.0/8", "192.0.2.7"]})
        for _ in range(5):
            assert admitted(limit, a_request(client_ip="10.1.2.3"))
            assert admitted(limit)
        assert admitted(limit, a_request(client_ip="192.0.2.8"))
        assert not admitted(limit, a_request(client_ip="192.0.2.8"))

    def test_by_a_value_of_the_key(self, world: World) -> None:
        limit = policy(
            world, limit="1/min", key=["header:X-Key", "client_ip"], exempt={"keys": "monitor"}
        )
        for _ in range(3):
            assert admitted(limit, a_request("/", ("X-Key", "monitor")))
        assert [admitted(limit, a_request("/", ("X-Key", "x"))) for _ in range(2)] == [True, False]

    def test_who_lacks_the_key_where_that_exempts(self, world: World) -> None:
        limit = policy(world, limit="1/min", key="header:X-Key", missing="exempt")
        request = a_request()
        for _ in range(3):
            limit.check(request)
        response = upstream_response()
        limit.edit_response(request, response)
        assert "ratelimit" not in response.headers
        assert count(world, "requests", "*", "exempt") == 3


class TestTiers:
    def tiered(self, world: World, **options: Any) -> RateLimit:
        return policy(
            world,
            limit="1/min",
            key="header:X-Key",
            tiers={"gold": "3/min", "both": ["2/s", {"limit": "4/min", "name": "slow"}]},
            **options,
        )

    @pytest.mark.parametrize(("key", "count"), [("gold", 3), ("both", 2), ("other", 1)])
    def test_by_the_key(self, world: World, key: str, count: int) -> None:
        limit = self.tiered(world)
        request = a_request("/", ("X-Key", key))
        assert sum(admitted(limit, request) for _ in range(9)) == count

    def test_by_something_else_each_key_for_itself(self, world: World) -> None:
        limit = self.tiered(world, tier="claim:plan.name")
        for key in ("a", "b"):
            request = a_request("/", ("X-Key", key))
            request.state["claims"] = {"plan": {"name": "gold"}}
            assert sum(admitted(limit, request) for _ in range(9)) == 3

    def test_they_tell_of_their_own_limits(self, world: World) -> None:
        fields = told(self.tiered(world), a_request("/", ("X-Key", "both")))
        assert fields["ratelimit-policy"] == '"2/second";q=2;w=1, "slow";q=4;w=60'


class TestCost:
    def test_a_number(self, world: World) -> None:
        limit = policy(world, limit="10/min", cost=4)
        assert [admitted(limit) for _ in range(3)] == [True, True, False]

    @pytest.mark.parametrize(
        ("value", "left"), [("7", 3), ("0", 10), ("x", 9), ("-1", 9), ("9" * 16, 9), ("", 9)]
    )
    def test_a_field_of_the_request(self, world: World, value: str, left: int) -> None:
        limit = policy(world, limit="10/min", cost="header:X-Cost")
        fields = told(limit, a_request("/", ("X-Cost", value)))
        assert fields["ratelimit"].startswith(f'"10/minute";r={left};')

    async def test_a_field_of_the_response(self, world: World) -> None:
        limit = policy(world, limit="10/min", cost="response_header:X-Points")
        await send(limit, answering(upstream_response(200, ("X-Points", "25"))))
        assert not await admits(limit)
        world.now += 6 * 16
        assert await admits(limit), "the debt is paid first"

    async def test_bytes_of_a_body(self, world: World) -> None:
        limit = policy(world, limit="100KB/s", cost="response_bytes")
        download = answering(upstream_response(body=bytes(60_000)))
        assert [await admits(limit, download) for _ in range(3)] == [True, True, False]
        world.now += 0.3
        assert await admits(limit)

    @pytest.mark.parametrize("whole", [True, False])
    async def test_bytes_of_a_stream_as_far_as_they_went(self, world: World, whole: bool) -> None:
        limit = policy(world, limit="100B/s", cost="response_bytes")
        body = Pieces(b"x" * 50, b"y" * 100)
        response = await send(limit, answering(Response(200, body=body)))
        assert not isinstance(response.body, bytes)
        async for _ in response.body:
            if not whole:
                break
        await response.body.aclose()
        assert body.closed
        assert await admits(limit) is not whole


class TestWhen:
    """Only failed logins count, say: what others took is given back."""

    OPTIONS: ClassVar[dict[str, Any]] = {"limit": "2/min", "when": {"status": [401, "5xx"]}}

    async def test_others_don_t_count(self, world: World) -> None:
        limit = policy(world, **self.OPTIONS)
        for _ in range(10):
            assert await admits(limit)
        wrong = answering(upstream_response(401))
        assert [await admits(limit, wrong) for _ in range(3)] == [True, True, False]

    async def test_attempts_at_one_time_are_held_until_they_are_answered(
        self, world: World
    ) -> None:
        limit = policy(world, **self.OPTIONS)
        async with holding(limit):
            async with holding(limit):
                assert not await admits(limit), "both may turn out to fail"
            assert await admits(limit)

    @pytest.mark.parametrize(
        ("error", "counts"),
        [
            (GatewayError("upstream_timeout"), True),
            (GatewayError("body_too_large"), False),
            (ValueError(), True),
            (asyncio.CancelledError(), True),
        ],
    )
    async def test_failures_count_by_their_status_and_going_away_counts(
        self, world: World, error: BaseException, counts: bool
    ) -> None:
        limit = policy(world, limit="1/min", when={"status": [401, "5xx"]})
        with pytest.raises(type(error)):
            await send(limit, failing(error))
        assert await admits(limit) is not counts


class TestInFlight:
    OPTIONS: ClassVar[dict[str, Any]] = {"limit": 1, "algorithm": "concurrency"}

    async def test_a_whole_response_frees_the_place(self, world: World) -> None:
        limit = policy(world, **self.OPTIONS)
        async with holding(limit):
            assert not await admits(limit)
        assert await admits(limit)

    @pytest.mark.parametrize("error", [GatewayError("upstream_timeout"), asyncio.CancelledError()])
    async def test_so_does_a_failure(self, world: World, error: BaseException) -> None:
        limit = policy(world, **self.OPTIONS)
        with pytest.raises(type(error)):
            await send(limit, failing(error))
        assert await admits(limit)

    async def test_a_stream_holds_it_to_its_end(self, world: World) -> None:
        limit = policy(world, **self.OPTIONS)
        response = await send(limit, answering(Response(200, body=Pieces(b"a", b"b"))))
        assert not isinstance(response.body, bytes)
        assert not await admits(limit)
        assert [piece async for piece in response.body] == [b"a", b"b"]
        await response.body.aclose()
        async with holding(limit):
            assert not await admits(limit), "freed once"

    async def test_what_another_limit_refuses_holds_no_place(self, world: World) -> None:
        limit = policy(world, limits=[{**self.OPTIONS}, "2/min"])
        assert [await admits(limit) for _ in range(4)] == [True, True, False, False]
        world.now += 30
        assert await admits(limit)

    async def test_one_that_nobody_takes_over_holds_no_place(self, world: World) -> None:
        """A client that has left by the time that its request was admitted, say."""
        limit = policy(world, **self.OPTIONS)
        level = bind([BoundPolicy("rate_limit", "enforce", limit)], answering(upstream_response()))
        assert level.descend(a_request()) is None
        assert await admits(limit)

    async def test_in_shadow_nobody_is_refused_and_places_are_counted(self, world: World) -> None:
        limit = policy(world, mode="shadow", **self.OPTIONS)
        request = a_request()
        async with holding(limit, "shadow"):
            await send(limit, request=request, mode="shadow")
        assert request.decisions[-1] == ("rate_limit", "would_refuse", "rate_limited")
        request = a_request()
        await send(limit, request=request, mode="shadow")
        assert request.decisions == [("rate_limit", "admitted", "")]


class TestRecords:
    """What the log and the metrics are told."""

    @pytest.mark.parametrize(
        ("log_key", "detail"),
        [
            ("plain", "1/minute for secret-key, 192.0.2.7"),
            ("none", "1/minute"),
            ("hash", "1/minute for e06a6e2a2a4d2b0c"),
        ],
    )
    def test_whom_a_refusal_met(self, world: World, log_key: str, detail: str) -> None:
        limit = policy(world, limit="1/min", key=["header:X-Key", "client_ip"], log_key=log_key)
        request = a_request("/", ("X-Key", "secret-key"))
        limit.check(request)
        refusal(limit, request)
        [decision] = request.decisions
        assert decision.outcome == "limited"
        if log_key == "hash":
            assert "secret" not in decision.detail
            assert len(decision.detail) == len(detail)
        else:
            assert decision.detail == detail

    def test_whom_each_of_many_refusals_met(self, world: World) -> None:
        limit = policy(world, limit="1/min", key="header:X-Key", log_key="plain")
        for name in ("a", "b", "a", "b", "a"):
            request = a_request("/", ("X-Key", name))
            if admitted(limit, request):
                continue
            assert request.decisions[-1].detail == f"1/minute for {name}"
        assert count(world, "exceeded", "*", "1/minute") == 3

    def test_counts(self, world: World) -> None:
        limit = policy(world, scope="login", limit="2/min")
        for _ in range(5):
            admitted(limit)
        assert count(world, "requests", "login", "admitted") == 2
        assert count(world, "requests", "login", "refused") == 3
        assert count(world, "exceeded", "login", "2/minute") == 3

    def test_shadow_counts_what_would_be_refused(self, world: World) -> None:
        limit = policy(world, limit="2/min", mode="shadow")
        for _ in range(5):
            admitted(limit)
        assert count(world, "requests", "*", "would_refuse") == 3

    @pytest.mark.parametrize(
        ("options", "most"),
        [({}, 10), ({"lease": 30}, 30), ({"lease": 5000}, 100), ({"burst": 5}, 1)],
    )
    def test_what_leases_may_admit_too_much(
        self, world: World, options: dict[str, Any], most: int
    ) -> None:
        policy(world, limit="100/min", precision="leased", **options)
        name = "sidegate_rate_limit_overshoot_max"
        assert world.journal.gauges[name, "*", "100/minute"].value == most

    @pytest.mark.parametrize("instead", ["local", "open"])
    def test_what_stood_in_for_the_store(self, world: World, instead: str) -> None:
        jam(world)
        limit = policy(world, limit="2/min", on_store_failure=instead)
        request = a_request()
        limit.check(request)
        [decision] = request.decisions
        assert decision.outcome == "unchecked"
        assert count(world, "unchecked", "*", instead) == 1


class Pieces:
    """A body in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop(0)

    async def aclose(self) -> None:
        self.closed = True


def test_routes_have_allowances_of_their_own_where_the_key_says_so(world: World) -> None:
    limit = policy(world, limit="1/min", key=["client_ip", "route"])
    one, two = a_request(), a_request()
    one.route, two.route = NO_ROUTE._replace(name="one"), NO_ROUTE._replace(name="two")
    assert [admitted(limit, request) for request in (one, two, one, two)] == [True] * 2 + [
        False
    ] * 2
