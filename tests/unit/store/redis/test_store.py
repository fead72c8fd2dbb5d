"""Requests while Redis fails: each gets its answer, in its time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine
from random import Random
from typing import Any, Literal, cast

import pytest

from proxy.config.store import StoreOptions
from proxy.errors import Refused
from proxy.limits import OnFailure, Reading, Terms
from proxy.store.redis.store import RedisStore
from tests.unit.policies.world import World
from tests.unit.store.redis.server import Server
from tests.unit.store.workers import quota

DEADLINE = 0.05
FAILS, NOTICED, BACK, END = 1.0, 1.2, 2.0, 4.0


class Stage:
    """A store, and requests. waits: when each began, how long it took, and who answered it."""

    def __init__(self, terms: Terms) -> None:
        self.server = Server()
        self.world = World()
        self.waits: list[tuple[float, float, str]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.store = RedisStore(
            StoreOptions.model_validate({"url": "redis://redis.test", "deadline": "50ms"}),
            cast("Any", self.world.toolkit.store), b"w", self.server, self._spawn,
            self.world.journal, lambda: self.world.journal,
        )  # fmt: skip
        self.limiter = self.store.limiter("x", [quota(1_000_000)], terms)

    async def request(self, key: str, cost: int) -> None:
        """One request."""
        begun = self.server.now
        answered = "closed"
        with contextlib.suppress(Refused):
            reading = self.limiter.take(key, cost)
            if not isinstance(reading, tuple):
                reading = await cast("Awaitable[Reading]", reading)
            answered = reading[0].source if reading else "open"
        self.waits.append((begun - 1000.0, self.server.now - begun, answered))

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        """Run a story to its end."""

        async def whole() -> None:
            self.store.start()
            await self.store.connected.wait()
            await story
            self.store.close()
            await asyncio.sleep(1.0)
            await asyncio.gather(*self._tasks)

        self.server.run(whole())
        self.server.close()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(self.server.create_task(coroutine))


def fail(server: Server, fate: str) -> None:
    if fate == "killed":
        server.kill()
    elif fate == "paused":
        server.paused = True
    else:
        server.latency = 0.049


def recover(server: Server, fate: str) -> None:
    server.up, server.latency = True, 0.001
    if fate == "paused":
        server.resume()


@pytest.mark.parametrize("fate", ["killed", "paused", "slow"])
@pytest.mark.parametrize("lease", [0, 10])
@pytest.mark.parametrize("instead", ["local", "open", "closed"])
def test_no_request_is_lost_or_waits_longer_than_the_deadline_and_a_moment(
    fate: Literal["killed", "paused", "slow"], lease: int, instead: OnFailure
) -> None:
    stage = Stage(Terms(instead, lease))
    chance = Random(7)

    async def story() -> None:
        stage.server.call_at(1000.0 + FAILS, fail, stage.server, fate)
        stage.server.call_at(1000.0 + BACK, recover, stage.server, fate)
        requests = []
        while stage.server.now < 1000.0 + END:
            for _ in range(chance.randint(1, 3)):
                work = stage.request(chance.choice("ab"), chance.randint(1, 9))
                requests.append(stage.server.create_task(work))
            await asyncio.sleep(chance.uniform(0.0, 0.008))
        await asyncio.gather(*requests)
        assert len(stage.waits) == len(requests) > 1000

    stage.run(story())
    assert max(wait for _, wait, _ in stage.waits) <= DEADLINE + 0.02
    sound = [who for when, _, who in stage.waits if when < FAILS - 0.1 or when > BACK + 1.1]
    assert set(sound) == {"store"}
    if fate != "slow":
        meanwhile = [(wait, who) for when, wait, who in stage.waits if NOTICED < when < BACK]
        assert set(meanwhile) == {(0.0, instead)}, "nobody waits for a Redis that isn't there"
        assert not [when for when in stage.server.asked if NOTICED < when - 1000.0 < BACK]


def test_a_redis_that_refuses_is_told_of_once_each_time_that_it_begins_to() -> None:
    stage = Stage(Terms())

    async def story() -> None:
        for spell in (1, 2):
            stage.server.refuses = True
            for _ in range(300):
                await stage.request("a", 1)
                await asyncio.sleep(0.5)
            told = [event for level, event, _ in stage.world.journal.lines if level == "warning"]
            assert len(told) == spell
            assert told[-1].startswith("the limit store refuses to count")
            stage.server.refuses = False
            for _ in range(200):
                await stage.request("a", 1)
                await asyncio.sleep(0.5)

    stage.run(story())
    assert {who for _, _, who in stage.waits} == {"local", "store"}
