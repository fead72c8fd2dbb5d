"""A breaker around a handler: what is a failure, and what those are told that may not pass."""

from __future__ import annotations

import asyncio
from math import isnan
from typing import Any

import pytest

from proxy.config.protection import Breaker as Options
from proxy.contract import Handler, Response
from proxy.errors import GatewayError, Unanswered, Unsent
from proxy.upstream.breaker import Breaker
from proxy.upstream.guard import Guard
from tests.unit.asking import Ask, Client, Prompt, at_once, by_waiting
from tests.unit.policies.world import (
    World,
    a_request,
    answering,
    failing,
    upstream_response,
)
from tests.unit.upstream.means import some_means


class Stage:
    """A guard that opens after two failures in a row."""

    asking: Ask = staticmethod(by_waiting)

    def __init__(self, **options: Any) -> None:
        self.world = World()
        self.options = Options.model_validate(
            {"failure_rate": None, "consecutive": 2, "rest": "5s", "probes": 1, **options}
        )
        self.breaker = Breaker(self.options)

    def guard(self, handler: Handler) -> Guard:
        world = self.world
        means = some_means(world, lambda: world.now)
        guard = Guard("users", "", self.breaker, self.options, Prompt(handler), means)
        guard.start()
        return guard

    async def ask(self, handler: Handler, times: int = 1) -> list[str]:
        """What became of requests: a status, or a code."""
        guard = self.guard(handler)
        told = []
        for _ in range(times):
            try:
                told.append(str((await type(self).asking(guard, a_request())).status))
            except GatewayError as error:
                told.append(error.code)
        return told

    @property
    def level(self) -> float:
        return self.world.journal.gauges["sidegate_upstream_breaker_open", "users", ""].value


OK = answering(upstream_response(200))


@pytest.fixture(autouse=True, params=[by_waiting, at_once])
def asking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In both ways the same counts."""
    monkeypatch.setattr(Stage, "asking", staticmethod(request.param))


@pytest.mark.parametrize(
    ("handler", "counts"),
    [
        (OK, False),
        (answering(upstream_response(404)), False),
        (answering(upstream_response(500)), False),
        (answering(upstream_response(503)), True),
        (failing(Unsent("upstream_unreachable")), True),
        (failing(Unanswered("upstream_timeout")), True),
        (failing(GatewayError("upstream_invalid")), True),
        (failing(Unsent("pool_exhausted")), False),
        (failing(GatewayError("incomplete_body")), False),
    ],
)
async def test_what_is_a_failure(handler: Handler, counts: bool) -> None:
    stage = Stage()
    await stage.ask(handler, 2)
    assert (await stage.ask(OK))[0] == ("circuit_open" if counts else "200")


async def test_statuses_may_be_chosen() -> None:
    stage = Stage(statuses=["5xx", 429])
    await stage.ask(answering(upstream_response(500)))
    await stage.ask(answering(upstream_response(429)))
    assert stage.breaker.state == "open"


async def test_slow_answers_count_where_that_is_asked_for() -> None:
    for slow, state in (("100ms", "open"), (None, "closed")):
        stage = Stage(slow=slow)

        async def answer(request: object, stage: Stage = stage) -> Response:
            stage.world.now += 0.2
            return upstream_response(200)

        await stage.ask(answer, 2)
        assert stage.breaker.state == state


async def test_whoever_may_not_pass_is_told_when_to_come_again() -> None:
    stage = Stage()
    await stage.ask(failing(Unanswered("upstream_closed")), 2)
    stage.world.now += 1.5
    with pytest.raises(Unsent) as raised:
        await Stage.asking(stage.guard(OK), request := a_request())
    assert (raised.value.status, raised.value.code) == (503, "circuit_open")
    assert raised.value.headers == (("Retry-After", "4"),)
    assert request.decisions == [("breaker", "refused", "circuit_open")]


async def test_it_closes_after_a_good_probe_and_tells_of_each_change() -> None:
    stage = Stage()
    bad = answering(upstream_response(503, ("Retry-After", "9")))
    assert await stage.ask(bad, 3) == ["503", "503", "circuit_open"]
    assert stage.level == 1.0
    stage.world.now += 8.9
    assert await stage.ask(OK) == ["circuit_open"], "the service asked for nine seconds"
    stage.world.now += 0.1
    assert await stage.ask(OK, 2) == ["200", "200"]
    assert stage.level == 0.0
    told = [(event, facts["state"]) for _, event, facts in stage.world.journal.lines]
    assert told == [
        ("circuit breaker opened", "open"),
        ("circuit breaker changed", "half_open"),
        ("circuit breaker changed", "closed"),
    ]


async def test_nothing_is_told_of_a_breaker_that_nobody_has_any_more() -> None:
    """Else one that was open when it was taken out of the configuration would be so for ever."""
    stage = Stage()
    first = stage.guard(answering(upstream_response(503)))
    second = stage.guard(OK)
    first.stop()
    for _ in range(2):
        await Stage.asking(first, a_request())
    assert stage.level == 1.0, "it goes on in the other's configuration"
    second.stop()
    assert isnan(stage.level)
    stage.world.now += 5.0
    await Stage.asking(first, a_request())
    assert isnan(stage.level), "nor by what ends later"


async def test_in_shadow_all_pass_and_it_says_what_it_would_do() -> None:
    stage = Stage(mode="shadow")
    assert await stage.ask(answering(upstream_response(503)), 4) == ["503"] * 4
    assert stage.breaker.state == "open"
    request = a_request()
    await Stage.asking(stage.guard(OK), request)
    assert request.decisions == [("breaker", "would_refuse", "circuit_open")]


async def leave(stage: Stage, seconds: float = 0.0, **state: Any) -> None:
    """A request that is cancelled after so many seconds."""

    async def wait(request: object) -> Response:
        stage.world.now += seconds
        raise asyncio.CancelledError

    request = a_request()
    request.state = state
    guard = stage.guard(wait)
    if Stage.asking is at_once:
        client = Client(guard, request)
        stage.world.now += seconds
        client.leave()
        assert not client.waited
        return
    with pytest.raises(asyncio.CancelledError):
        await guard(request)


async def test_a_client_that_leaves_proves_nothing() -> None:
    stage = Stage()
    await stage.ask(failing(Unanswered("upstream_closed")), 2)
    stage.world.now += 5
    await leave(stage)
    assert await stage.ask(OK) == ["200"], "the probe that was broken off made room for another"


async def test_one_that_leaves_when_the_service_is_late_is_a_failure() -> None:
    for late, state in ((False, "closed"), (True, "open")):
        stage = Stage()
        for _ in range(2):
            await leave(stage, late=lambda late=late: late)
        assert stage.breaker.state == state


async def test_one_that_leaves_after_what_is_slow_is_a_failure() -> None:
    for seconds, state in ((0.9, "closed"), (1.1, "open")):
        stage = Stage(slow="1s")
        for _ in range(2):
            await leave(stage, seconds)
        assert stage.breaker.state == state
