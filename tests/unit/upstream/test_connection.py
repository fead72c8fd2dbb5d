"""A connection to an upstream on a transport of paper: what ends when nobody is left to care.

How it reads and writes HTTP is shown over real sockets (`tests/integration`).
"""

from __future__ import annotations

import pytest

from proxy.contract import Response
from proxy.errors import GatewayError
from proxy.http1.headers import Headers
from proxy.upstream.connection import UpstreamConnection
from proxy.wire.deadlines import Deadlines
from proxy.wire.turn import Turn
from tests.unit.paused_loop import PausedLoop, settle
from tests.unit.transport import Wire

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class Owner:
    def __init__(self) -> None:
        self.told: list[str] = []

    def release(self, connection: UpstreamConnection) -> None:
        self.told.append("release")

    def joined(self, connection: UpstreamConnection) -> None:
        self.told.append("joined")

    def discard(self, connection: UpstreamConnection, reason: str) -> None:
        self.told.append(reason)


class Told:
    def __init__(self) -> None:
        self.response: Response | None = None

    def interim(self, status: int, headers: Headers) -> None:
        raise AssertionError("nothing came in between")

    def answered(self, response: Response) -> None:
        self.response = response

    def failed(self, error: GatewayError) -> None:
        raise AssertionError("it was answered") from error


def asked(loop: PausedLoop, owner: Owner, told: Told, wire: Wire) -> UpstreamConnection:
    """A connection that an answer is to come on."""
    connection = UpstreamConnection(
        loop, loop.time, Deadlines(loop.time), Turn(loop), owner, 15.0, 30.0
    )
    connection.connection_made(wire)
    connection.ask("GET", b"GET / HTTP/1.1\r\n\r\n", True, False, told, loop.time())
    return connection


def test_a_tunnel_that_nobody_joins_is_closed_in_time(loop: PausedLoop) -> None:
    async def story() -> None:
        deadlines, owner, told, wire = Deadlines(loop.time), Owner(), Told(), Wire()
        connection = UpstreamConnection(
            loop, loop.time, deadlines, Turn(loop), owner, response_timeout=15.0, body_idle=30.0
        )
        connection.connection_made(wire)
        connection.ask("GET", b"GET / HTTP/1.1\r\n\r\n", True, True, told, loop.time())
        connection.data_received(ACCEPTED)
        await settle()
        assert told.response is not None
        assert told.response.tunnel is connection
        assert owner.told == ["joined"]
        loop.now += 14
        deadlines.sweep()
        assert owner.told == ["joined"]
        loop.now += 1
        deadlines.sweep()
        assert owner.told == ["joined", "timeout"]
        assert wire.closed

    loop.run(story())


@pytest.mark.parametrize("length", [250_000, 300_000], ids=["all of it came", "more is to come"])
def test_no_more_is_read_behind_a_head_until_somebody_reads_that(
    loop: PausedLoop, length: int
) -> None:
    async def story() -> None:
        owner, told, wire = Owner(), Told(), Wire()
        connection = asked(loop, owner, told, wire)
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        paused = []
        for piece in (bytes(100_000), bytes(150_000)):
            connection.data_received(piece)
            paused.append(wire.paused)
        assert paused == [False, True]
        await settle()
        assert told.response is not None
        body = told.response.body
        if isinstance(body, bytes):
            assert body == bytes(length)
            assert owner.told == ["release"]
        else:
            assert wire.paused
            assert await anext(body) == bytes(250_000)
        paused.append(wire.paused)
        assert not paused[-1]

    loop.run(story())


def test_a_connection_that_is_given_back_reads_what_is_asked_next(loop: PausedLoop) -> None:
    """However little was read of what came before: its reader may be slow."""

    async def story() -> None:
        owner, told, wire = Owner(), Told(), Wire()
        connection = asked(loop, owner, told, wire)
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")
        await settle()
        connection.data_received(bytes(200_000))
        assert told.response is not None
        assert not isinstance(told.response.body, bytes)
        assert owner.told == ["release"]
        assert not wire.paused
        assert [piece async for piece in told.response.body] == [bytes(200_000)]

    loop.run(story())
