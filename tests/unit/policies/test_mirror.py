"""mirror: copies that nobody waits for, and how they compare."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

import pytest
from pydantic import ValidationError

from proxy.contract import NO_EXCHANGE, TRIED, Handler, Request, Response, Target
from proxy.errors import GatewayError
from proxy.policies.mirror import POLICY, Mirror, Options
from tests.unit.asking import Ask, Client, Prompt, at_once, by_waiting
from tests.unit.policies.world import World, a_request, answering, failing, upstream_response

OK = answering(upstream_response(200))


class Stage:
    """The policy, and the copies that it sent. hold: what copies wait for."""

    def __init__(self, theirs: Handler = OK, **options: Any) -> None:
        self.world = World()
        self.theirs = theirs
        self.copies: list[Request] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.hold: asyncio.Event | None = None
        toolkit = replace(
            self.world.toolkit, target=Target("app", False), ask=lambda name: self._ask,
            spawn=self._spawn,
        )  # fmt: skip
        self.policy = Mirror(Options.model_validate({"upstream": "next", **options}), toolkit)

    async def _ask(self, request: Request) -> Response:
        self.copies.append(request)
        if self.hold is not None:
            await self.hold.wait()
        return await self.theirs(request)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    async def ask(self, request: Request, ours: Handler = OK) -> Response:
        return await asking[0](self.policy.wrap(Prompt(ours)), request)

    async def settled(self) -> dict[tuple[str, ...], float]:
        """The counters once all copies are answered, by their labels."""
        await asyncio.gather(*self.tasks)
        return {
            key[1:]: cell.value for key, cell in self.world.journal.counts.items() if cell.value
        }


asking: Final[list[Ask]] = [by_waiting]
"""How it is asked."""


@pytest.fixture(autouse=True, params=[by_waiting, at_once])
def way(request: pytest.FixtureRequest) -> None:
    """In both ways the same is copied."""
    asking[0] = request.param


async def test_a_copy_is_sent_and_its_answer_compared() -> None:
    stage = Stage(answering(upstream_response(404)))
    request = a_request("/a?b=c", ("X-Own", "1"))
    request.state[TRIED] = {"elsewhere"}
    assert (await stage.ask(request)).status == 200
    assert await stage.settled() == {("next", "2xx", "4xx"): 1}
    [copy] = stage.copies
    assert (copy.target, copy.headers.get("x-own")) == (b"/a?b=c", "1")
    assert copy.headers.get("x-mirrored") == "true"
    assert request.headers.get("x-mirrored") is None
    assert copy.exchange is NO_EXCHANGE
    assert copy.timings is not request.timings
    assert TRIED not in copy.state


async def test_nobody_waits_for_a_copy() -> None:
    stage = Stage()
    client = Client(stage.policy.wrap(Prompt(OK)), a_request())
    assert (await client.answer()).status == 200
    assert not client.waited
    await stage.settled()
    stage.copies.clear()
    stage.tasks.clear()
    stage.hold = asyncio.Event()
    assert (await stage.ask(a_request())).status == 200
    await asyncio.sleep(0)
    assert len(stage.copies) == 1
    assert not stage.tasks[0].done()
    stage.hold.set()
    await stage.settled()


async def test_copies_under_way_are_bounded() -> None:
    stage = Stage(most=2)
    stage.hold = asyncio.Event()
    for _ in range(5):
        await stage.ask(a_request())
    await asyncio.sleep(0)
    assert len(stage.copies) == 2
    stage.hold.set()
    assert await stage.settled() == {("next",): 3, ("next", "2xx", "2xx"): 2}
    await stage.ask(a_request())
    assert (await stage.settled())["next", "2xx", "2xx"] == 3


async def test_failures_of_either_side_are_compared_and_ours_is_the_answer() -> None:
    stage = Stage(failing(GatewayError("upstream_closed")))
    assert (await stage.ask(a_request())).status == 200
    with pytest.raises(GatewayError, match="upstream_timeout"):
        await stage.ask(a_request(), failing(GatewayError("upstream_timeout")))
    assert await stage.settled() == {("next", "2xx", "none"): 1, ("next", "5xx", "none"): 1}


async def test_a_copy_that_takes_too_long_is_given_up() -> None:
    stage = Stage(timeout="10ms")
    stage.hold = asyncio.Event()
    await stage.ask(a_request())
    assert await stage.settled() == {("next", "2xx", "none"): 1}


async def test_a_share_by_lot() -> None:
    stage = Stage(share="25%", most=10_000)
    for _ in range(800):
        await stage.ask(a_request())
    await stage.settled()
    assert 140 < len(stage.copies) < 260


async def test_what_is_not_copied() -> None:
    stage = Stage(methods=["GET", "PUT"], body="4B")
    post, large, tunnel = a_request(method="POST"), a_request(method="PUT"), a_request()
    large.body = b"12345"
    tunnel.upgrade = "websocket"
    for request in (post, large, tunnel):
        await stage.ask(request)
    assert stage.copies == []
    small = a_request(method="PUT")
    small.body = b"1234"
    await stage.ask(small)
    await stage.settled()
    assert stage.copies[0].body == b"1234"


async def test_in_shadow_it_says_that_it_would_copy() -> None:
    stage, request = Stage(mode="shadow"), a_request()
    await stage.ask(request)
    assert stage.tasks == []
    assert request.decisions == [("mirror", "would_change", "next")]


def test_names_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="gets the requests anyway"):
        Stage(upstream="app")
    with pytest.raises(ValidationError, match="Field required"):
        Options.model_validate({})
    assert POLICY.shorthand == "upstream"
