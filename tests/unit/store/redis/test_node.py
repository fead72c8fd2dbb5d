"""The circuit of a server: open while it can't answer in time, and no flapping."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from proxy.config.address import Address
from proxy.config.store import StoreOptions
from proxy.store.redis.access import make_access
from proxy.store.redis.connection import LATE, LOST, pack
from proxy.store.redis.node import Node
from tests.unit.paused_loop import settle
from tests.unit.store.redis.noted import Noted
from tests.unit.store.redis.server import REPLICA, Server

PLACE = Address(scheme="redis", host="redis.test", port=6379)


class Stage:
    """A node of a server. told: what it said of changes, and when."""

    def __init__(self) -> None:
        self.server = Server()
        self.told: list[tuple[float, str]] = []
        self._tasks: list[asyncio.Task[None]] = []
        access = make_access(StoreOptions(url="redis://redis.test"), 0.05)

        async def locate() -> Address:
            return PLACE

        self.node = Node(self.server, access, locate, self._spawn, self._note)

    def ask(self) -> Noted:
        question = Noted(self.server.now + 0.05)
        self.node.ask(question, pack("PING"))
        return question

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        async def whole() -> None:
            self.node.start()
            await asyncio.sleep(0.5)
            await story
            self.node.close()
            await asyncio.gather(*self._tasks)

        self.server.run(whole())
        self.server.close()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(self.server.create_task(coroutine))

    def _note(self, node: Node, why: str) -> None:
        self.told.append((self.server.now, why))


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_what_answers_is_asked(stage: Stage) -> None:
    async def story() -> None:
        assert stage.node.usable
        question = stage.ask()
        await asyncio.sleep(0.01)
        assert question.told == [b"OK"]
        assert [why for _, why in stage.told] == [""]

    stage.run(story())


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ({"up": False}, "Connection refused"),
        ({"latency": 0.08}, LATE),
        ({"role": REPLICA}, "it is a replica"),
    ],
)
def test_what_can_t_serve_is_not_asked_and_told_of_once(
    stage: Stage, trouble: dict[str, Any], why: str
) -> None:
    """Also what accepts connections, and answers later than anybody waits for."""
    for name, value in trouble.items():
        setattr(stage.server, name, value)

    async def story() -> None:
        await asyncio.sleep(60)
        assert stage.ask().told == ["lost"]
        assert [why for _, why in stage.told] == [why]
        assert 50 < len(stage.server.attempts) < 70, "about once a second"

    stage.run(story())


def test_it_is_asked_again_soon_after_it_is_back(stage: Stage) -> None:
    async def story() -> None:
        await asyncio.sleep(30)
        stage.server.up = False
        lost = stage.server.now
        stage.server.wires[0].abort()
        await settle()
        assert stage.server.attempts[-1] == lost, "perhaps it was only the connection"
        await asyncio.sleep(60)
        stage.server.up = True
        await asyncio.sleep(1.1)
        assert [why for _, why in stage.told] == ["", LOST, ""]

    stage.run(story())


def test_one_that_is_back_and_can_t_serve_is_told_of_anew(stage: Stage) -> None:
    async def story() -> None:
        stage.server.up, stage.server.role = False, REPLICA
        stage.server.wires[0].abort()
        await asyncio.sleep(5)
        stage.server.up = True
        await asyncio.sleep(5)
        assert [why for _, why in stage.told] == ["", LOST, "it is a replica"]

    stage.run(story())


def test_one_that_fails_whenever_it_is_used_does_not_flap(stage: Stage) -> None:
    async def story() -> None:
        before = len(stage.told)
        for _ in range(6000):
            await asyncio.sleep(0.01)
            if stage.node.usable:
                stage.node.give_up("it says READONLY")
        assert len(stage.told) - before < 2 * 70, "about once a second"
        await asyncio.sleep(12)
        assert stage.node.usable
        stage.node.give_up("it says READONLY")
        await asyncio.sleep(0.1)
        assert stage.node.usable, "it had proved itself"

    stage.run(story())


def test_three_answers_in_a_row_that_come_late_open_the_circuit(stage: Stage) -> None:
    async def story() -> None:
        stage.server.latency = 0.08
        for count in range(3):
            assert stage.node.usable
            question = stage.ask()
            await asyncio.sleep(0.07)
            assert question.told == ["overdue"], count
        assert not stage.node.usable
        stage.server.latency = 0.001
        await asyncio.sleep(2)
        assert [why for _, why in stage.told] == ["", LATE, ""]

    stage.run(story())
