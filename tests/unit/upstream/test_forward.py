"""Asking an endpoint over connections of paper: what goes wrong before or amid sending costs no
connection, and keeps nobody waiting.

What is sent, and what becomes of it, is shown over real sockets (`tests/integration`).
"""

from __future__ import annotations

import asyncio

import pytest

from proxy.config.upstream import Pool as PoolOptions
from proxy.config.upstream import UpstreamTimeouts, UpstreamTls
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.endpoint import make_endpoint
from proxy.upstream.forward import Forwarder
from proxy.upstream.pool import Pool
from proxy.wire.deadlines import Deadlines
from proxy.wire.turn import Turn
from tests.unit.asking import Client, by_waiting
from tests.unit.paused_loop import PausedLoop, settle
from tests.unit.policies.world import a_request
from tests.unit.transport import Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Bench:
    """A forwarder, and its connections. opened: all of them, with their transports."""

    def __init__(self, loop: PausedLoop) -> None:
        self.opened: list[tuple[UpstreamConnection, Wire]] = []
        deadlines, turn = Deadlines(loop.time), Turn(loop)

        async def open_(pool: Pool) -> UpstreamConnection:
            wire = Wire()
            connection = UpstreamConnection(loop, loop.time, deadlines, turn, pool, 15.0, 30.0)
            connection.connection_made(wire)
            self.opened.append((connection, wire))
            return connection

        endpoint = make_endpoint("http://a:1", UpstreamTls(), UpstreamTimeouts())
        self.pool = Pool("app", "http://a:1", PoolOptions(), open_, loop.time, loop)
        self.forward = Forwarder(
            endpoint, self.pool, "preserve", 1.0, loop.time, loop.create_task, loop
        )

    async def warm(self) -> None:
        """Have one connection that is kept."""
        asking = asyncio.ensure_future(by_waiting(self.forward, a_request()))
        await settle()
        self.opened[0][0].data_received(OK)
        assert (await asking).status == 200
        assert (self.pool.in_use, self.pool.idle) == (0, 1)


def test_a_request_that_cannot_be_written_takes_no_connection(loop: PausedLoop) -> None:
    async def story() -> None:
        bench = Bench(loop)
        await bench.warm()
        with pytest.raises(UnicodeError):
            Client(bench.forward, a_request(method="GÉT"))
        with pytest.raises(UnicodeError):
            await bench.forward(a_request(method="GÉT"))
        assert (bench.pool.in_use, bench.pool.idle) == (0, 1)

    loop.run(story())


class Body:
    """A body that a policy breaks, or that never comes."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        if self._error is None:
            await asyncio.Event().wait()
        assert self._error is not None
        raise self._error

    async def aclose(self) -> None:
        return None


def test_a_policy_that_breaks_a_body_keeps_nobody_waiting(loop: PausedLoop) -> None:
    async def story() -> None:
        bench, request = Bench(loop), a_request(method="PUT")
        request.body, request.length = Body(TypeError("broken")), 10
        with pytest.raises(TypeError):
            await bench.forward(request)
        assert bench.opened[0][1].aborted
        assert bench.pool.in_use == 0

    loop.run(story())


def test_after_an_early_answer_nobody_reads_the_body_any_more(loop: PausedLoop) -> None:
    async def story() -> None:
        bench, request = Bench(loop), a_request(method="PUT")
        request.body, request.length = Body(), 10
        asking = asyncio.ensure_future(by_waiting(bench.forward, request))
        await settle()
        before = len(asyncio.all_tasks())
        bench.opened[0][0].data_received(OK)
        assert (await asking).status == 200
        await settle()
        # It waited, and what sent the body did.
        assert len(asyncio.all_tasks()) == before - 2
        assert bench.pool.closed == {"early_response": 1}

    loop.run(story())
