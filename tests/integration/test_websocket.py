"""WebSockets through Sidegate: an echo service, and origins that answer oddly."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.client import HANDSHAKE, TIMEOUT, connected, request, until
from tests.integration.gateway import Gateway, running
from tests.integration.origins import ACCEPTED, OK, RawOrigin, answering


async def echo(socket: ServerConnection) -> None:
    """Gives back what it gets; asked to, it closes with a code of its own."""
    async for message in socket:
        if message == "close":
            await socket.close(4711, "as asked")
        elif message == "headers":
            assert socket.request is not None
            await socket.send(str(dict(socket.request.headers.raw_items())))
        else:
            await socket.send(message)


@contextlib.asynccontextmanager
async def before_echo(
    folder: Path, *, policies: dict[str, Any] | None = None, **server: Any
) -> AsyncIterator[tuple[Gateway, str]]:
    """Sidegate before the echo, and the URL for clients."""
    async with serve(echo, "127.0.0.1", 0, max_size=None) as service:
        port = next(iter(service.sockets)).getsockname()[1]
        config = {
            "upstreams": {"service": f"http://127.0.0.1:{port}"},
            "server": server,
            "policies": policies or {},
        }
        async with running(config, folder) as gateway:
            yield gateway, gateway.url.replace("http", "ws")


async def test_messages_go_back_and_forth(tmp_path: Path) -> None:
    async with before_echo(tmp_path) as (gateway, url), connect(url, max_size=None) as socket:
        for message in ("hello", b"\x00\x01", "ü" * 70_000, os.urandom(5 * 1024 * 1024), ""):
            await socket.send(message)
            assert await socket.recv() == message
        async with asyncio.timeout(TIMEOUT):
            await (await socket.ping())
        await socket.send("headers")
        headers = str(await socket.recv())
        assert "X-Request-ID" in headers
        assert "X-Forwarded-For" in headers
        assert socket.response is not None
        assert socket.response.headers["X-Request-ID"]
        assert socket.response.headers["Via"] == "1.1 sidegate"
        await socket.close()
        [line] = await gateway.lines()
        assert line["status"] == 101
        assert line["bytes_out"] > 5 * 1024 * 1024 < line["bytes_in"]


async def test_many_messages_without_waiting(tmp_path: Path) -> None:
    async with before_echo(tmp_path) as (_, url), connect(url) as socket:

        async def send() -> None:
            for number in range(2000):
                await socket.send(f"{number}" * 20)

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            for number in range(2000):
                assert await socket.recv() == f"{number}" * 20


async def test_the_service_closes_with_its_own_code(tmp_path: Path) -> None:
    async with before_echo(tmp_path) as (_, url), connect(url) as socket:
        await socket.send("close")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4711, "as asked")


async def test_a_client_that_is_gone_ends_the_tunnel(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ACCEPTED)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        ended.set()

    async with (
        RawOrigin(script) as origin,
        running({"upstreams": {"service": origin.url}}, tmp_path) as gateway,
    ):
        async with connected(gateway.url) as wire:
            await wire.send(HANDSHAKE)
            assert (await wire.answer()).status == 101
            wire.abort()
        async with asyncio.timeout(TIMEOUT):
            await ended.wait()


async def test_an_idle_tunnel_is_closed(tmp_path: Path) -> None:
    timeouts = {"tunnel_idle": "1s"}
    async with (
        before_echo(tmp_path, timeouts=timeouts) as (gateway, url),
        connect(url, ping_interval=None) as socket,
    ):
        for _ in range(3):
            await asyncio.sleep(0.05)
            await socket.send("alive")
            await socket.recv()
        async with asyncio.timeout(TIMEOUT):
            await socket.wait_closed()
        [line] = await gateway.lines()
        assert (line["status"], line["aborted"]) == (101, "idle_timeout")


@pytest.mark.parametrize("status", [200, 400, 403, 426])
async def test_an_upgrade_that_is_not_accepted(status: int, tmp_path: Path) -> None:
    """The answer reaches the client as any other, and its connection goes on with HTTP."""
    head = f"HTTP/1.1 {status} No\r\nContent-Length: 4\r\n\r\nnope".encode()
    async with (
        RawOrigin(answering(head, OK)) as origin,
        running({"upstreams": {"service": origin.url}}, tmp_path) as gateway,
        connected(gateway.url) as wire,
    ):
        await wire.send(HANDSHAKE + request())
        refused = await wire.answer()
        assert (refused.status, refused.body) == (status, b"nope")
        assert (await wire.answer()).body == b"ok"
        heads = origin.bytes_received
        assert b"Upgrade: websocket\r\n" in heads
        assert heads.count(b"X-Forwarded-For") == 2, "what followed was read as a request"


async def test_a_refused_handshake_as_a_client_sees_it(tmp_path: Path) -> None:
    routes = [{"name": "closed", "policies": {"respond": {"status": 403}}}]
    async with running({"routes": routes}, tmp_path) as gateway:
        with pytest.raises(InvalidStatus) as refused:
            await connect(gateway.url.replace("http", "ws"))
        assert refused.value.response.status_code == 403


async def test_bytes_right_behind_the_handshake(tmp_path: Path) -> None:
    """Neither side has to wait for the other before it speaks."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ACCEPTED + b"\x81\x05hello")
        data = await reader.readexactly(11)
        writer.write(data)
        await reader.read()

    frame = b"\x81\x85\x00\x00\x00\x00world"
    async with (
        RawOrigin(script) as origin,
        running({"upstreams": {"service": origin.url}}, tmp_path) as gateway,
        connected(gateway.url) as wire,
    ):
        await wire.send(HANDSHAKE + frame)
        accepted = await wire.answer()
        assert accepted.status == 101
        assert accepted.headers["connection"].lower() == "upgrade"
        assert accepted.headers["upgrade"] == "websocket"
        assert await wire.exactly(7) == b"\x81\x05hello"
        assert await wire.exactly(11) == frame
        assert origin.bytes_received.endswith(frame)


async def test_a_half_closed_tunnel_passes_the_rest(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ACCEPTED)
        everything = await reader.read()
        writer.write(b"%d" % len(everything))

    async with (
        RawOrigin(script) as origin,
        running({"upstreams": {"service": origin.url}}, tmp_path) as gateway,
        connected(gateway.url) as wire,
    ):
        await wire.send(HANDSHAKE)
        await wire.answer()
        await wire.send(bytes(300_000))
        wire.end()
        assert await wire.exactly(6) == b"300000"
        assert await wire.ended()


async def test_a_slow_reader_pauses_the_other_side(tmp_path: Path) -> None:
    sent = 0
    size = 200 * 1024 * 1024

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ACCEPTED)
        frame = b"\x82\x7f" + (256 * 1024).to_bytes(8, "big") + bytes(256 * 1024)
        while sent < size:
            writer.write(frame)
            await writer.drain()
            sent += len(frame)

    async with (
        RawOrigin(script) as origin,
        running({"upstreams": {"service": origin.url}}, tmp_path) as gateway,
        connected(gateway.url, buffer=65536) as wire,
    ):
        await wire.send(HANDSHAKE)
        await wire.answer()
        before = -1
        async with asyncio.timeout(TIMEOUT):
            while before != sent:
                before = sent
                await asyncio.sleep(0.3)
        assert sent < 40 * 1024 * 1024
        count = 0
        while data := await wire.some():
            count += len(data)
        assert count == sent >= size


async def test_draining_says_goodbye_between_two_frames(tmp_path: Path) -> None:
    async with (
        before_echo(tmp_path, drain={"timeout": "20s"}) as (gateway, url),
        connect(url) as socket,
    ):
        await socket.send("hello")
        assert await socket.recv() == "hello"
        draining = asyncio.ensure_future(gateway.app.drain())
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1001
        async with asyncio.timeout(TIMEOUT):
            await draining


async def test_draining_lets_a_frame_end_first(tmp_path: Path) -> None:
    """A close frame in the middle of another would be read as its payload."""
    go_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ACCEPTED + b"\x82\x08half")
        await go_on.wait()
        writer.write(b"done\x81\x05never")
        await reader.read()

    async with (
        RawOrigin(script) as origin,
        running({"upstreams": {"service": origin.url}}, tmp_path) as gateway,
        connected(gateway.url) as wire,
    ):
        await wire.send(HANDSHAKE)
        await wire.answer()
        assert await wire.exactly(6) == b"\x82\x08half"
        draining = asyncio.ensure_future(gateway.app.drain())
        await until(lambda: not gateway.app.ready()[0])
        go_on.set()
        assert await wire.exactly(4) == b"done"
        assert await wire.exactly(4) == b"\x88\x02\x03\xe9", "1001, going away"
        assert await wire.ended()
        await draining


async def is_admitted(url: str) -> bool:
    """Whether a WebSocket can be opened now; it is closed again."""
    try:
        async with connect(url):
            return True
    except InvalidStatus as refused:
        return refused.response.status_code != 429


async def test_a_tunnel_holds_its_place_in_flight_to_its_end(tmp_path: Path) -> None:
    policies = {"rate_limit": {"limit": 1, "algorithm": "concurrency"}}
    async with before_echo(tmp_path, policies=policies) as (_, url):
        async with connect(url) as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
            assert not await is_admitted(url)
        # The place is free once both sides have closed.
        for _ in range(200):
            if await is_admitted(url):
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("the place was never free again")


async def test_a_service_that_accepts_no_tunnel_frees_the_place(tmp_path: Path) -> None:
    async with RawOrigin(answering(OK)) as origin:
        config = {
            "upstreams": {"service": origin.url},
            "policies": {"rate_limit": {"limit": 1, "algorithm": "concurrency"}},
        }
        async with running(config, tmp_path) as gateway:
            for _ in range(3):
                async with connected(gateway.url) as wire:
                    await wire.send(HANDSHAKE)
                    assert (await wire.answer()).status == 200
