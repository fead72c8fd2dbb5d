"""Clients that never stop asking, and count what became of each request."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.integration.client import CutShort, Wire, connected, request, until
from tests.integration.origins import OK, RawOrigin, answering


class Load:
    """Keep-alive clients, and WebSockets with a message always on its way.

    asked, answered: requests. closed: connections that a response ended. lost: what became
    of requests that got no answer. echoed: messages that came back.
    """

    def __init__(self, url: Callable[[], str], tls: ssl.SSLContext | None) -> None:
        self._url = url
        self._tls = tls
        self.asked = 0
        self.answered = 0
        self.closed = 0
        self.echoed = 0
        self.lost: list[str] = []
        self.statuses: set[int] = set()
        self._stopping = asyncio.Event()

    async def more(self, requests: int = 100) -> None:
        """Return after so many further answers."""
        goal = self.answered + requests
        await until(lambda: self.answered >= goal or self.lost, "the load")
        assert self.lost == []

    def stop(self) -> None:
        """Let each client finish what it is waiting for."""
        self._stopping.set()

    async def client(self) -> None:
        """One client: it goes on with a connection until a response says that it ends."""
        while not self._stopping.is_set():
            try:
                async with connected(self._url(), tls=self._tls) as wire:
                    while not self._stopping.is_set() and await self._ask(wire):
                        pass
            except (CutShort, OSError) as error:
                self.lost.append(f"{type(error).__name__}: {error}")

    async def _ask(self, wire: Wire) -> bool:
        self.asked += 1
        await wire.send(request())
        answer = await wire.answer()
        self.answered += 1
        self.statuses.add(answer.status)
        if answer.headers.get("connection") == "close":
            self.closed += 1
            return False
        return True

    async def socket(self) -> None:
        """One WebSocket, which is never closed by the other side."""
        async with connect(self._url().replace("http", "ws") + "/socket") as socket:
            while not self._stopping.is_set():
                await socket.send("message")
                assert await socket.recv() == "message"
                self.echoed += 1


@contextlib.asynccontextmanager
async def under_load(
    url: Callable[[], str],
    *,
    clients: int = 6,
    sockets: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Load]:
    """So many clients and WebSockets, until the block ends; then nothing was lost."""
    load = Load(url, tls)
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(load.client())
        for _ in range(sockets):
            group.create_task(load.socket())
        await load.more(1)
        try:
            yield load
        finally:
            load.stop()
    assert load.lost == []
    assert load.answered == load.asked


class Services:
    """What the load is for. config: of routes to them. requests: how many came."""

    def __init__(self, origin: RawOrigin, echo: str) -> None:
        self._origin = origin
        self.config: dict[str, Any] = {
            "upstreams": {"service": origin.url, "echo": echo},
            "routes": [
                {"name": "sockets", "match": {"path": "/socket"}, "upstream": "echo"},
                {"name": "rest", "upstream": "service"},
            ],
        }

    @property
    def requests(self) -> int:
        """Those that reached the service."""
        return self._origin.bytes_received.count(b"GET / HTTP/1.1")


@contextlib.asynccontextmanager
async def services() -> AsyncIterator[Services]:
    """One that answers requests with 200, and one that echoes WebSocket messages."""

    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with serve(echo, "127.0.0.1", 0) as server, RawOrigin(answering(OK)) as origin:
        port = next(iter(server.sockets)).getsockname()[1]
        yield Services(origin, f"http://127.0.0.1:{port}")
