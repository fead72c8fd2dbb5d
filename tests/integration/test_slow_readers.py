"""Clients that ask and don't read: what they may cost is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

from tests.integration.client import ask, request, until
from tests.integration.gateway import Gateway, running

SERVED = 200 * 1024
# Of what `respond` answers.
LARGEST = 1024 * 1024


def asking(body: int, body_idle: str, body_rate: str = "100B") -> dict[str, object]:
    """Every request is answered with so many bytes."""
    return {
        "server": {"timeouts": {"body_idle": body_idle}, "limits": {"body_rate": body_rate}},
        "routes": [{"name": "all", "policies": {"respond": {"body": "x" * body}}}],
    }


def deaf(gateway: Gateway) -> socket.socket:
    """A client with a small receive buffer, which never reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", gateway.port))
    client.setblocking(False)
    return client


async def broken_off_by(gateway: Gateway) -> str:
    """Why the last response of a client was broken off."""
    lines = await gateway.lines()
    while "aborted" not in lines[-1]:
        # The socket's buffers took some responses whole.
        lines = await gateway.lines(count=len(lines) + 1)
    why: str = lines[-1]["aborted"]
    return why


async def test_pipelined_answers_wait_for_a_client_to_read(tmp_path: Path) -> None:
    """The request behind a response that nobody takes isn't begun."""
    async with running(asking(SERVED, "60s"), tmp_path) as gateway:
        with deaf(gateway) as client:
            client.send(request() * 100)
            await until(lambda: gateway.app.status()["in_flight"] == 1)
            # Others are served meanwhile, and far more than a few rounds of the loop pass.
            for _ in range(20):
                assert (await ask(gateway.url, request())).status == 200
            lines = await gateway.lines(count=20)
            # The socket's buffers may have taken a few whole responses.
            assert len(lines) - 20 < 40
            assert gateway.app.status()["in_flight"] == 1


async def test_a_client_that_takes_nothing_is_broken_off(tmp_path: Path) -> None:
    async with running(asking(LARGEST, "300ms"), tmp_path) as gateway:
        with deaf(gateway) as client:
            client.send(request() * 8)
            await until(lambda: gateway.app.status()["connections"] == 0)
            assert await broken_off_by(gateway) == "slow_reader"


async def test_a_client_that_reads_slowly_but_steadily_is_served(tmp_path: Path) -> None:
    async with running(asking(LARGEST, "3s"), tmp_path) as gateway:
        with deaf(gateway) as client:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, request() * 7 + request(Connection="close"))
            taken = 0
            # More than the time that a client may take nothing at all.
            ends = loop.time() + 4
            while loop.time() < ends:
                taken += len(await loop.sock_recv(client, 16 * 1024))
                await asyncio.sleep(0.01)
            while data := await loop.sock_recv(client, 1024 * 1024):
                taken += len(data)
            assert taken > 8 * LARGEST


async def test_a_client_that_never_stops_and_takes_too_little_is_broken_off(
    tmp_path: Path,
) -> None:
    async with running(asking(LARGEST, "300ms", "1MiB"), tmp_path) as gateway:
        with deaf(gateway) as client:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, request() * 8)
            taken = 0
            with contextlib.suppress(ConnectionResetError):
                while data := await loop.sock_recv(client, 2048):
                    taken += len(data)
                    await asyncio.sleep(0.01)
            assert 0 < taken < 7 * LARGEST
            assert await broken_off_by(gateway) == "slow_reader"
