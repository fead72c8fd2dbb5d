"""Asking through something that stands around: it hears of each outcome once, in either way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from proxy.asking import Asked, PatientAsker, Pending
from proxy.contract import Request, Response
from proxy.errors import GatewayError
from tests.unit.asking import Ask, Client, Hearing, Prompt, at_once, by_waiting
from tests.unit.paused_loop import PausedLoop, settle
from tests.unit.policies.world import a_request, answering, failing, upstream_response

OK = answering(upstream_response(200))
CLOSED = GatewayError("upstream_closed")


@pytest.fixture(params=[by_waiting, at_once])
def ask(request: pytest.FixtureRequest) -> Ask:
    way: Ask = request.param
    return way


async def test_it_hears_of_an_answer(ask: Ask) -> None:
    inner = Hearing(Prompt(OK))
    outer = Hearing(inner)
    assert (await ask(outer, a_request())).status == 200
    assert inner.heard == outer.heard == ["ticket 200"]


@pytest.mark.parametrize("free", [True, False])
async def test_it_hears_of_a_failure(ask: Ask, free: bool) -> None:
    inner = Hearing(Prompt(failing(CLOSED), free=free))
    outer = Hearing(inner)
    with pytest.raises(GatewayError):
        await ask(outer, a_request())
    assert inner.heard == outer.heard == ["ticket GatewayError"]


async def test_what_it_makes_of_a_failure_is_an_answer_to_those_outside(ask: Ask) -> None:
    inner = Hearing(Prompt(failing(CLOSED)), rescues=True)
    outer = Hearing(inner)
    assert (await ask(outer, a_request())).status == 203
    assert outer.heard == ["ticket 203"]


async def test_its_own_failure_is_one_to_those_outside(ask: Ask) -> None:
    inner = Hearing(Prompt(OK), broken=RuntimeError())
    outer = Hearing(inner)
    with pytest.raises(RuntimeError):
        await ask(outer, a_request())
    assert inner.heard == ["ticket 200"]
    assert outer.heard == ["ticket RuntimeError"]


async def test_those_outside_hear_when_what_it_gives_is_there(ask: Ask) -> None:
    inner = Hearing(Prompt(OK), later=True)
    outer = Hearing(inner)
    assert (await ask(outer, a_request())).status == 200
    assert inner.heard == ["ticket 200", "waited"]
    assert outer.heard == ["ticket 200"]


async def test_nothing_waits_where_nothing_has_to() -> None:
    client = Client(Hearing(Hearing(Prompt(OK))), a_request())
    assert (await client.answer()).status == 200
    assert not client.waited


async def test_what_has_no_connection_is_waited_for_and_heard_of_once() -> None:
    inner = Hearing(Prompt(OK, free=False))
    client = Client(Hearing(inner), a_request())
    assert client.waited
    assert (await client.answer()).status == 200
    assert inner.heard == ["ticket 200"]


async def test_a_handler_that_can_only_be_waited_for_is() -> None:
    outer = Hearing(OK)
    client = Client(outer, a_request())
    assert client.waited
    assert (await client.answer()).status == 200
    assert outer.heard == ["ticket 200"]


@pytest.mark.parametrize("helps", [True, False])
async def test_asking_once_more_is_heard_of_as_one_outcome(helps: bool) -> None:
    endpoint = Prompt(failing(CLOSED), again=True)
    outer = Hearing(Hearing(endpoint))
    client = Client(outer, a_request())
    await settle()
    assert (client.waited, client.told, outer.heard) == (True, False, [])
    if helps:
        endpoint.handler = OK
        assert (await client.answer()).status == 200
        assert outer.heard == ["ticket 200"]
    else:
        with pytest.raises(GatewayError):
            await client.answer()
        assert outer.heard == ["ticket GatewayError"]


async def test_a_handler_that_fails_before_it_is_awaited_is_heard_of() -> None:
    def fail(request: Request) -> Awaitable[Response]:
        raise CLOSED

    outer = Hearing(fail)
    for ask in (by_waiting, at_once):
        with pytest.raises(GatewayError):
            await ask(outer, a_request())
    assert outer.heard == ["ticket GatewayError"] * 2


class Refusing(Prompt):
    """Fails at once when it is asked at once."""

    error: BaseException = CLOSED

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        raise self.error


@pytest.mark.parametrize("error", [CLOSED, RuntimeError(), asyncio.CancelledError()])
async def test_what_fails_at_once_is_heard_of(error: BaseException) -> None:
    refusing = Refusing(OK)
    refusing.error = error
    outer = Hearing(Hearing(refusing))
    with pytest.raises(type(error)):
        await at_once(outer, a_request())
    assert outer.heard == [f"ticket {type(error).__name__}"]


async def test_what_fails_at_once_may_be_asked_once_more_or_answered() -> None:
    assert (await at_once(Hearing(Refusing(OK, again=True)), a_request())).status == 200
    assert (await at_once(Hearing(Refusing(OK), rescues=True), a_request())).status == 203


async def test_who_leaves_breaks_off_what_was_asked_and_that_is_heard_of_once() -> None:
    endpoint = Prompt(OK)
    inner = Hearing(endpoint)
    outer = Hearing(inner)
    client = Client(outer, a_request())
    client.leave()
    client.leave()
    await settle()
    assert endpoint.aborted == ["cancelled"]
    assert inner.heard == outer.heard == ["ticket CancelledError"]


async def test_an_answer_that_still_comes_can_be_broken_off() -> None:
    class Stream:
        def __aiter__(self) -> Stream:
            return self

        async def __anext__(self) -> bytes:
            return b"more"

        async def aclose(self) -> None:
            return None

    response = upstream_response(200)
    response.body = Stream()
    endpoint = Prompt(answering(response))
    outer = Hearing(Hearing(endpoint))
    client = Client(outer, a_request())
    assert await client.answer() is response
    client.leave()
    assert endpoint.aborted == ["cancelled"]
    assert outer.heard == ["ticket 200"]


async def test_interim_responses_go_through() -> None:
    endpoint = Prompt(OK)
    endpoint.interims = (103,)
    client = Client(Hearing(Hearing(endpoint)), a_request())
    await client.answer()
    assert client.interims == [103]


@pytest.mark.parametrize("free", [True, False])
def test_what_takes_too_long_is_broken_off_and_heard_of_once(
    loop: PausedLoop, ask: Ask, free: bool
) -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(9.0)
        raise AssertionError

    async def story() -> None:
        inner = Hearing(Prompt(slow, free=free))
        outer = Hearing(inner, seconds=5.0)
        with pytest.raises(TimeoutError):
            await ask(outer, a_request())
        assert (inner.heard, outer.heard) == (["ticket CancelledError"], ["ticket TimeoutError"])
        await asyncio.sleep(9.0)

    loop.run(story())
    assert loop.now == 1014.0


def test_the_time_goes_on_when_there_is_more_to_wait_for(loop: PausedLoop) -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(3.0)
        return upstream_response(200)

    async def story() -> None:
        endpoint = Prompt(failing(CLOSED), again=True)
        client = Client(Hearing(endpoint, seconds=2.0), a_request())
        await settle()
        endpoint.handler = slow
        with pytest.raises(TimeoutError):
            await client.answer()

    loop.run(story())
    assert loop.now == 1002.0


def test_what_came_in_time_is_not_late(loop: PausedLoop, ask: Ask) -> None:
    async def story() -> None:
        outer = Hearing(Prompt(OK), seconds=5.0)
        assert (await ask(outer, a_request())).status == 200
        await asyncio.sleep(9.0)
        assert outer.heard == ["ticket 200"]

    loop.run(story())
