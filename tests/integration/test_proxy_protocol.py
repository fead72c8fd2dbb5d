"""PROXY headers of both versions, before plain and encrypted requests."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.integration.certificates import Authority
from tests.integration.client import Wire, ask, connected, request
from tests.integration.gateway import Gateway, running
from tests.integration.origins import aiohttp_app

# Has `close` break a connection off.
RESET = struct.pack("ii", 1, 0)
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n"


def v2(source: str = "192.0.2.7", *, command: int = 1, extra: bytes = b"") -> bytes:
    """A header of version 2. command: 1 for PROXY, 0 for LOCAL."""
    address = ip_address(source).packed
    family = 0x11 if len(address) == 4 else 0x21
    block = address + address + b"\x00\x50\x01\xbb" + extra
    signature = b"\r\n\r\n\x00\r\nQUIT\n"
    return signature + bytes([0x20 | command, family]) + len(block).to_bytes(2, "big") + block


def behind(service: str, *sources: str, **server: Any) -> dict[str, Any]:
    return {
        "upstreams": {"service": service},
        "server": {"proxy_protocol": list(sources), **server},
    }


@contextlib.asynccontextmanager
async def behind_one(folder: Path, *sources: str, **server: Any) -> AsyncIterator[Gateway]:
    """Sidegate before a service, with PROXY headers from these sources."""
    async with (
        aiohttp_app() as service,
        running(behind(service, *sources, **server), folder) as gateway,
    ):
        yield gateway


async def forwarded_for(wire: Wire) -> str:
    await wire.send(request())
    value: str = dict((await wire.answer()).json["headers"])["X-Forwarded-For"]
    return value


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (V1, "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 51000 443\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (v2(), "192.0.2.7"),
        (v2("2001:db8::7"), "2001:db8::7"),
        (v2(command=0), "127.0.0.1"),
        (v2(extra=b"\x04\x00\x03abc"), "192.0.2.7"),
    ],
)
async def test_the_client_is_whom_the_header_names(
    header: bytes, client: str, tmp_path: Path
) -> None:
    async with behind_one(tmp_path, "127.0.0.0/8") as gateway:
        async with connected(gateway.url) as wire:
            await wire.send(header)
            assert await forwarded_for(wire) == client
            assert await forwarded_for(wire) == client, "on all of the connection"
        # In one piece with the request, and in single bytes.
        assert client in (await ask(gateway.url, header + request(), "GET")).body.decode()
        async with connected(gateway.url) as wire:
            for place in range(len(header)):
                await wire.send(header[place : place + 1])
                await asyncio.sleep(0)
            assert await forwarded_for(wire) == client
        lines = await gateway.lines("request", 4)
        assert {line["client_ip"] for line in lines} == {client}


async def test_tls_begins_after_the_header(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("IP:127.0.0.1")
    async with aiohttp_app() as service:
        config = behind(
            service, "127.0.0.0/8", listen=["https://127.0.0.1:0"],
            tls={"certificates": [pair.config]},
        )  # fmt: skip
        async with running(config, tmp_path) as gateway:
            for header in (V1, v2()):
                reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
                writer.write(header)
                # The kernel may hand over header and handshake at once.
                await writer.start_tls(authority.client(), server_hostname="127.0.0.1")
                assert await forwarded_for(Wire(reader, writer)) == "192.0.2.7"
                writer.close()


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(request(), id="none"),
        pytest.param(b"PROXY TCP4 1.2.3 4.5.6.7 1 2\r\n" + request(), id="no address"),
        pytest.param(b"PROXY TCP4 ::1 ::1 1 2\r\n" + request(), id="an address of another kind"),
        pytest.param(b"PROXY TCP4 1.2.3.4 4.5.6.7 1 99999\r\n" + request(), id="no port"),
        pytest.param(b"PROXY " + b"x" * 200, id="no end"),
        pytest.param(v2()[:12] + b"\x31" + v2()[13:], id="another version"),
        pytest.param(v2()[:14] + b"\xff\xff" + v2()[16:], id="too long"),
        pytest.param(v2()[:13] + b"\x12" + v2()[14:], id="UDP"),
    ],
)
async def test_from_a_load_balancer_nothing_else_is_served(start: bytes, tmp_path: Path) -> None:
    async with behind_one(tmp_path, "127.0.0.0/8") as gateway:
        async with connected(gateway.url) as wire:
            await wire.send(start)
            assert await wire.ended()
        [line] = await gateway.lines("connection refused")
        assert (line["level"], line["peer"]) == ("warning", "127.0.0.1")


async def test_a_header_that_does_not_come(tmp_path: Path) -> None:
    async with aiohttp_app() as service:
        config = behind(service, "127.0.0.0/8", timeouts={"head": "200ms"})
        async with running(config, tmp_path) as gateway:
            for reset in (False, True):
                # A load balancer looks whether it can connect, which is nobody's mistake.
                with socket.create_connection(("127.0.0.1", gateway.port)) as look:
                    if reset:
                        look.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            async with connected(gateway.url) as wire:
                await wire.send(b"PROXY TCP4")
                assert await wire.ended()
            [line] = await gateway.lines("connection refused")
            assert line["reason"] == "no PROXY header came in time"


async def test_from_anybody_else_no_header_is_believed(tmp_path: Path) -> None:
    async with behind_one(tmp_path, "192.0.2.0/24") as gateway:
        assert (await ask(gateway.url, request())).status == 200
        for header in (V1, v2()):
            assert (await ask(gateway.url, header + request(), "GET")).status == 400


async def test_unix_sockets(tmp_path: Path) -> None:
    listen = [f"unix:{tmp_path}/sidegate.sock"]
    async with behind_one(tmp_path, "unix", listen=listen), connected(listen[0]) as wire:
        await wire.send(V1)
        assert await forwarded_for(wire) == "192.0.2.7"
    async with behind_one(tmp_path, "127.0.0.0/8", listen=listen):
        assert (await ask(listen[0], V1 + request(), "GET")).status == 400


async def test_a_reload_begins_and_ends_it(tmp_path: Path) -> None:
    async with (
        aiohttp_app() as service,
        running(behind(service), tmp_path) as gateway,
        connected(gateway.url) as old,
    ):
        assert await forwarded_for(old) == "127.0.0.1"
        gateway.rewrite(behind(service, "127.0.0.0/8"))
        assert (await gateway.reload())[0] == 200
        async with connected(gateway.url) as wire:
            await wire.send(V1)
            assert await forwarded_for(wire) == "192.0.2.7"
        gateway.rewrite(behind(service))
        assert (await gateway.reload())[0] == 200
        async with connected(gateway.url) as wire:
            assert await forwarded_for(wire) == "127.0.0.1"
        assert await forwarded_for(old) == "127.0.0.1"


async def test_out_of_descriptors_it_waits_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without asking the kernel in a circle meanwhile."""
    asked = 0
    accept = socket.socket.accept

    def fail(sock: socket.socket) -> Any:
        nonlocal asked
        asked += 1
        if asked < 4:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", fail)
    async with behind_one(tmp_path, "127.0.0.0/8") as gateway:
        async with connected(gateway.url) as wire:
            await wire.send(V1)
            assert await forwarded_for(wire) == "192.0.2.7"
        assert asked < 10
