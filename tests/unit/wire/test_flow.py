"""Back-pressure: a body on its way in, and a transport that can be full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from proxy.errors import GatewayError
from proxy.wire.flow import HIGH_WATER, Inflow, Outflow
from tests.unit.paused_loop import PausedLoop, settle


class Body:
    """An inflow, and what its gate was told."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.gate: list[bool] = []
        self.inflow = Inflow(loop, self.gate.append)

    def read(self) -> asyncio.Task[bytes]:
        """A reader that waits for the next piece."""
        return asyncio.get_running_loop().create_task(_next(self.inflow))

    async def rest(self) -> list[bytes]:
        return [piece async for piece in self.inflow]


def _next(body: AsyncIterator[bytes]) -> Coroutine[Any, Any, bytes]:
    async def read() -> bytes:
        return await anext(body)

    return read()


# -- inflow -----------------------------------------------------------------------------------


def test_pieces_that_came_together_are_read_together(loop: PausedLoop) -> None:
    async def story() -> None:
        body = Body(loop)
        body.inflow.feed(b"a")
        body.inflow.feed(b"")
        body.inflow.feed(b"b")
        body.inflow.finish()
        assert await body.rest() == [b"ab"]
        assert body.inflow.received == 2

    loop.run(story())


def test_a_reader_gets_each_piece_as_it_comes(loop: PausedLoop) -> None:
    async def story() -> None:
        body = Body(loop)
        for piece in (b"a", b"b"):
            reader = body.read()
            await settle()
            assert not reader.done()
            body.inflow.feed(piece)
            assert await reader == piece
        reader = body.read()
        await settle()
        body.inflow.finish()
        with pytest.raises(StopAsyncIteration):
            await body.inflow.__anext__()
        await asyncio.wait([reader])
        assert reader.exception() is not None

    loop.run(story())


def test_a_body_without_bytes_ends_at_once(loop: PausedLoop) -> None:
    async def story() -> None:
        body = Body(loop)
        body.inflow.finish()
        assert await body.rest() == []

    loop.run(story())


def test_a_failure_comes_after_what_had_arrived(loop: PausedLoop) -> None:
    async def story() -> None:
        body = Body(loop)
        body.inflow.feed(b"a")
        body.inflow.fail(GatewayError("incomplete_body"))
        body.inflow.fail(GatewayError("body_too_large"))
        assert await anext(body.inflow) == b"a"
        for _ in range(2):
            with pytest.raises(GatewayError, match="incomplete_body"):
                await anext(body.inflow)

    loop.run(story())


def test_a_failure_wakes_the_reader(loop: PausedLoop) -> None:
    async def story() -> None:
        body = Body(loop)
        reader = body.read()
        await settle()
        body.inflow.fail(GatewayError("incomplete_body"))
        with pytest.raises(GatewayError, match="incomplete_body"):
            await reader

    loop.run(story())


def test_a_complete_body_can_t_fail_any_more(loop: PausedLoop) -> None:
    async def story() -> None:
        body = Body(loop)
        body.inflow.feed(b"a")
        body.inflow.finish()
        body.inflow.fail(GatewayError("incomplete_body"))
        assert body.inflow.complete
        assert await body.rest() == [b"a"]

    loop.run(story())


def test_a_slow_reader_stops_the_sender_until_it_has_caught_up(loop: PausedLoop) -> None:
    async def story() -> None:
        body = Body(loop)
        piece = bytes(HIGH_WATER // 4)
        for _ in range(4):
            body.inflow.feed(piece)
        assert body.gate == []
        body.inflow.feed(piece)
        body.inflow.feed(piece)
        assert body.gate == [False]
        assert len(await anext(body.inflow)) == 6 * len(piece)
        assert body.gate == [False, True]
        body.inflow.feed(piece)
        assert body.gate == [False, True]

    loop.run(story())


def test_throwing_away_what_waits_lets_the_sender_go_on(loop: PausedLoop) -> None:
    async def story() -> None:
        body = Body(loop)
        body.inflow.feed(bytes(HIGH_WATER + 1))
        body.inflow.discard()
        assert body.gate == [False, True]
        assert body.inflow.ready() == b""
        body.inflow.feed(b"a")
        assert body.inflow.ready() == b"a"
        assert body.gate == [False, True]

    loop.run(story())


def test_waiting_is_told_once(loop: PausedLoop) -> None:
    """So that `100 Continue` is sent when somebody wants the body, and only then."""

    async def story() -> None:
        body = Body(loop)
        waits: list[str] = []
        body.inflow.on_wait = lambda: waits.append("wait")
        body.inflow.feed(b"a")
        assert await anext(body.inflow) == b"a"
        assert waits == []
        reader = body.read()
        await settle()
        assert waits == ["wait"]
        body.inflow.feed(b"b")
        await reader
        reader = body.read()
        await settle()
        assert waits == ["wait"]
        body.inflow.finish()
        await asyncio.wait([reader])
        assert reader.exception() is not None

    loop.run(story())


def test_giving_up_is_told_to_who_stands_behind_the_body(loop: PausedLoop) -> None:
    async def story() -> None:
        body = Body(loop)
        told: list[str] = []
        body.inflow.on_abandon = lambda: told.append("abandoned")
        body.inflow.feed(b"a")
        await body.inflow.aclose()
        await body.inflow.aclose()
        assert told == ["abandoned"]
        assert await body.rest() == []

    loop.run(story())


def test_the_end_is_told_once_whenever_one_asks(loop: PausedLoop) -> None:
    async def story() -> None:
        for whole in (True, False):
            body, told = Body(loop), list[bool]()
            body.inflow.at_end(told.append)
            body.inflow.feed(b"a")
            assert told == []
            if whole:
                body.inflow.finish()
            for _ in range(2):
                body.inflow.fail(GatewayError("upstream_closed"))
            body.inflow.at_end(told.append)
            assert told == [whole, whole]

    loop.run(story())


def test_giving_up_is_no_end(loop: PausedLoop) -> None:
    async def story() -> None:
        body, told = Body(loop), list[bool]()
        body.inflow.at_end(told.append)
        await body.inflow.aclose()
        body.inflow.fail(GatewayError("upstream_closed"))
        body.inflow.finish()
        assert told == []

    loop.run(story())


@pytest.mark.parametrize("end", ["complete", "failed"])
def test_giving_up_on_a_body_that_is_over_tells_nobody(end: str, loop: PausedLoop) -> None:
    async def story() -> None:
        body = Body(loop)
        told: list[str] = []
        body.inflow.on_abandon = lambda: told.append("abandoned")
        if end == "complete":
            body.inflow.finish()
        else:
            body.inflow.fail(GatewayError("incomplete_body"))
        await body.inflow.aclose()
        assert told == []

    loop.run(story())


def test_what_comes_after_giving_up_is_counted_and_not_kept(loop: PausedLoop) -> None:
    """A policy that replaces a body must not leave its sender stopped for ever."""

    async def story() -> None:
        body = Body(loop)
        await body.inflow.aclose()
        for _ in range(10):
            body.inflow.feed(bytes(HIGH_WATER))
        assert body.gate == []
        assert body.inflow.ready() == b""
        assert body.inflow.received == 10 * HIGH_WATER

    loop.run(story())


def test_a_cancelled_reader_loses_nothing(loop: PausedLoop) -> None:
    async def story() -> None:
        body = Body(loop)
        reader = body.read()
        await settle()
        reader.cancel()
        body.inflow.feed(b"a")
        await asyncio.wait([reader])
        assert reader.cancelled()
        assert await anext(body.inflow) == b"a"

    loop.run(story())


def test_a_sender_that_is_held_stands_still_however_little_waits(loop: PausedLoop) -> None:
    body = Body(loop)
    body.inflow.feed(b"some")
    assert body.inflow.hold() == b"some"
    assert body.gate == [False]
    body.inflow.go_on()
    body.inflow.go_on()
    assert body.gate == [False, True]


def test_whoever_waits_for_something_else_is_told_of_a_failure(loop: PausedLoop) -> None:
    async def story() -> None:
        body = Body(loop)
        done: asyncio.Future[None] = loop.create_future()
        waiting = loop.create_task(body.inflow.wait(done))
        await settle()
        assert not waiting.done()
        body.inflow.fail(GatewayError("upstream_closed"))
        await settle()
        assert waiting.done()
        # And needn't wait for it when it is known.
        await body.inflow.wait(loop.create_future())
        with pytest.raises(GatewayError):
            await body.rest()

    loop.run(story())


# -- outflow ----------------------------------------------------------------------------------


def test_a_transport_with_room_keeps_nobody_waiting(loop: PausedLoop) -> None:
    loop.run(Outflow(loop).drain())


def test_a_full_transport_keeps_its_writer_waiting(loop: PausedLoop) -> None:
    async def story() -> None:
        outflow = Outflow(loop)
        outflow.pause()
        assert outflow.full
        writer = loop.create_task(outflow.drain())
        await settle()
        assert not writer.done()
        outflow.resume()
        await writer
        assert not outflow.full

    loop.run(story())


def test_a_transport_that_fills_again_at_once_still_keeps_it_waiting(loop: PausedLoop) -> None:
    async def story() -> None:
        outflow = Outflow(loop)
        outflow.pause()
        writer = loop.create_task(outflow.drain())
        await settle()
        outflow.resume()
        outflow.pause()
        await settle()
        assert not writer.done()
        outflow.resume()
        await writer

    loop.run(story())


@pytest.mark.parametrize("full", [True, False])
def test_a_lost_transport_lets_nobody_wait(full: bool, loop: PausedLoop) -> None:
    async def story() -> None:
        outflow = Outflow(loop)
        if full:
            outflow.pause()
        writer = loop.create_task(outflow.drain()) if full else None
        await settle()
        outflow.lose()
        if writer is not None:
            with pytest.raises(ConnectionResetError):
                await writer
        with pytest.raises(ConnectionResetError):
            await outflow.drain()

    loop.run(story())


def test_a_cancelled_writer_leaves_room_for_the_next(loop: PausedLoop) -> None:
    async def story() -> None:
        outflow = Outflow(loop)
        outflow.pause()
        first = loop.create_task(outflow.drain())
        await settle()
        first.cancel()
        await asyncio.wait([first])
        second = loop.create_task(outflow.drain())
        await settle()
        outflow.resume()
        await second

    loop.run(story())
