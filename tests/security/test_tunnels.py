"""A tunnel passes bytes unread, so nobody may have one who was not given it by the service.

The well-known trick asks for an upgrade that the service declines, and hopes that the proxy
opens a tunnel all the same: what follows would reach the service past every route and
policy. Here what follows is read as requests, by the same routes, or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.client import connected, until
from tests.security.stage import get, staged

HEAD: Final = (
    b"GET /socket HTTP/1.1\r\nHost: service.test\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
UPGRADE: Final = HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
HIDDEN: Final = b"GET /admin HTTP/1.1\r\nHost: service.test\r\n\r\n"
SWITCHED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
ROUTES: Final[dict[str, Any]] = {
    "routes": [
        {"name": "denied", "match": {"path": "/admin/**"}, "policies": {"respond": 403}},
        {"name": "rest", "upstream": "app"},
    ]
}


def _answering(data: bytes) -> Callable[..., Awaitable[None]]:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        # An origin that waits is more tempting to send bytes to than one that closes.
        await reader.read()

    return script


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "after the answer"])
@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200),
        (b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n",
         426),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 400),
        (b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         b"Content-Length: 0\r\n\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200),
        (b"HTTP/1.1 204 No\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 204),
    ],
)  # fmt: skip
async def test_a_declined_upgrade_opens_no_tunnel(
    tmp_path: Path, answer: bytes, status: int, at_once: bool
) -> None:
    async with staged(tmp_path, script=_answering(answer), config=ROUTES) as stage:
        async with connected(stage.gateway.url) as wire:
            await wire.send(UPGRADE + (HIDDEN if at_once else b""))
            assert (await wire.answer()).status == status
            if not at_once:
                await wire.send(HIDDEN)
            # Read as a request, and by the routes.
            assert (await wire.answer()).status == 403
        assert b"/admin" not in stage.witness.raw.bytes_received


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
        b"HTTP/1.0 101 Switching Protocols\r\n\r\n",
    ],
)
async def test_a_switch_to_something_else_is_a_502(tmp_path: Path, answer: bytes) -> None:
    async with staged(tmp_path, script=_answering(answer), config=ROUTES) as stage:
        async with connected(stage.gateway.url) as wire:
            await wire.send(UPGRADE)
            assert (await wire.answer()).status == 502
        assert b"/admin" not in stage.witness.raw.bytes_received


@pytest.mark.parametrize(
    "lines",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket2\r\n",
        b"Connection: HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
        b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
        b"Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n",
        b"Connection: Upgrade\r\nUpgrade: xwebsocket\r\n",
        b"Upgrade: websocket\r\n",
        b"Connection: close\r\nUpgrade: websocket\r\n",
        b"Connection: Upgrade\r\n",
    ],
)
async def test_no_other_upgrade_reaches_the_service(tmp_path: Path, lines: bytes) -> None:
    """`h2c` is the one that would let a client talk HTTP/2 to it behind the proxy's back."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    async with staged(tmp_path, config=ROUTES) as stage:
        await stage.gateway.raw(HEAD + lines + b"\r\n" + preface)
        [heard] = stage.witness.heard
        assert {"upgrade", "http2-settings", "connection"}.isdisjoint(heard.names)
        assert b"PRI" not in stage.witness.raw.bytes_received
        assert b"h2c" not in stage.witness.raw.bytes_received


@pytest.mark.parametrize(
    "data",
    [
        UPGRADE.replace(b"GET", b"POST", 1).replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"),
        UPGRADE.replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\nbody"),
        UPGRADE.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
async def test_an_upgrade_with_anything_odd_about_it_is_an_ordinary_request(
    tmp_path: Path, data: bytes
) -> None:
    async with staged(tmp_path, config=ROUTES) as stage:
        await stage.gateway.raw(data + HIDDEN)
        [heard] = stage.witness.heard
        assert "upgrade" not in heard.names
        assert b"/admin" not in stage.witness.raw.bytes_received


async def test_the_routes_decide_about_upgrades_too(tmp_path: Path) -> None:
    async with staged(tmp_path, config=ROUTES) as stage:
        answers = await stage.play(UPGRADE.replace(b"/socket", b"/admin/socket") + get("/x"))
        assert [answer.status for answer in answers] == [403, 200]
        assert stage.witness.targets == ["/x"]


async def test_bytes_sent_ahead_wait_for_the_service_s_yes(tmp_path: Path) -> None:
    """Before the 101 the service must not see them, or it would read them as a request."""
    seen_early: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            async with asyncio.timeout(0.1):
                seen_early.append(await reader.read(100))
        except TimeoutError:
            pass
        writer.write(SWITCHED)
        seen_early.append(b"|" + await reader.readexactly(len(HIDDEN)))
        writer.write(b"through")
        await reader.read()

    async with staged(tmp_path, script=script, config=ROUTES) as stage:
        async with connected(stage.gateway.url) as wire:
            await wire.send(UPGRADE + HIDDEN)
            assert (await wire.head()).status == 101
            assert await wire.exactly(7) == b"through"
        assert seen_early == [b"|" + HIDDEN]


async def test_a_tunnel_s_connection_serves_no_request_afterwards(tmp_path: Path) -> None:
    async with staged(tmp_path, script=_answering(SWITCHED)) as stage:
        async with connected(stage.gateway.url) as wire:
            await wire.send(UPGRADE)
            assert (await wire.head()).status == 101
        await until(lambda: all(pool["in_use"] == 0 for pool in stage.gateway.app.upstreams()))
        assert all(pool["idle"] == 0 for pool in stage.gateway.app.upstreams())


async def test_a_client_that_reads_nothing_does_not_keep_a_tunnel(tmp_path: Path) -> None:
    """When the time is up both ends go, whatever is still waiting to be read."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED)
        with_data = bytes(1024 * 1024)
        while True:
            writer.write(with_data)
            await writer.drain()

    config = {"server": {"timeouts": {"tunnel_idle": "300ms"}}}
    async with staged(tmp_path, script=script, config=config) as stage:
        async with connected(stage.gateway.url, buffer=1024) as wire:
            await wire.send(UPGRADE)
            assert (await wire.head()).status == 101
            wire.pause()
            status = stage.gateway.app.status
            await until(lambda: status()["connections"] == 0, "the end of the connection")
        [line] = await stage.gateway.lines()
        assert (line["status"], line["aborted"]) == (101, "idle_timeout")
