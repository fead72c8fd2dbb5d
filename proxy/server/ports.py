"""Where a worker accepts connections, and how that begins, changes and ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.config.model import Server
from proxy.server.connection import ClientConnection
from proxy.server.listener import Gateway, Listener
from proxy.server.sockets import BACKLOG

_LAST_SECONDS: Final = 1.0
# The path belongs to whoever bound the socket, which may go on with it.
_UNIX_OPTIONS: Final[dict[str, Any]] = (
    {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
)

MakeListener = Callable[[str, str], Listener]
"""Scheme and port as text to a listener."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker accepts from at one address. port: as text, empty for a UNIX socket."""

    sockets: tuple[socket.socket, ...]
    port: str


@dataclass(slots=True)
class _Port:
    listener: Listener
    servers: list[asyncio.Server] = field(default_factory=list)
    adopted: dict[int, list[asyncio.Server]] = field(default_factory=dict)

    def close(self) -> None:
        for server in [*self.servers, *(server for own in self.adopted.values() for server in own)]:
            server.close()


class Ports:
    """The open ports of a worker by their configured address."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make: MakeListener) -> None:
        self._loop = loop
        self._make = make
        self._open: dict[str, _Port] = {}
        self._leaving: set[Listener] = set()
        self._emptied = asyncio.Event()

    async def update(self, settings: Server, gateway: Gateway, shares: Mapping[str, Share]) -> None:
        """Accept at exactly `settings.listen`, with this gateway.

        shares: of the addresses that are new; their sockets are this worker's to close.
        """
        for text, share in shares.items():
            port = self._open[text] = _Port(self._make("http", share.port))
            port.servers = await self._serve(port.listener, share.sockets)
        for text in [text for text in self._open if text not in settings.listen]:
            port = self._open.pop(text)
            port.close()
            # Tunnels finish on the configuration that they began with.
            self._leave(port.listener, tunnels=False)
        for port in self._open.values():
            port.listener.configure(gateway, settings)

    async def adopt(self, worker: int, shares: Mapping[str, Share]) -> None:
        """Accept in the place of another worker as well, until it is back."""
        for text, share in shares.items():
            port = self._open.get(text)
            if port is not None:
                port.adopted[worker] = await self._serve(port.listener, share.sockets)

    def disown(self, worker: int) -> None:
        """That worker accepts for itself again."""
        for port in self._open.values():
            for server in port.adopted.pop(worker, ()):
                server.close()

    def close(self) -> None:
        """Accept no more connections."""
        for port in self._open.values():
            port.close()

    def leave(self) -> None:
        """Go on, but have every response close its connection, so that clients go elsewhere."""
        for port in self._open.values():
            port.listener.leaving = True

    async def drain(self, seconds: float) -> int:
        """Let connections finish what they do, for so many seconds at most.

        Returns how many had to be broken off.
        """
        self.close()
        for listener in [*self._leaving, *(port.listener for port in self._open.values())]:
            self._leave(listener, tunnels=True)
        await self._wait_until_empty(seconds)
        left = self._connections()
        for listener in list(self._leaving):
            for connection in list(listener.connections):
                connection.abort()
        # The transports tell of their end in the loop's next rounds.
        await self._wait_until_empty(_LAST_SECONDS)
        return left

    async def _wait_until_empty(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._connections():
                    self._emptied.clear()
                    await self._emptied.wait()

    def _connections(self) -> int:
        return sum(len(listener.connections) for listener in self._leaving)

    def _leave(self, listener: Listener, *, tunnels: bool) -> None:
        def emptied() -> None:
            self._leaving.discard(listener)
            self._emptied.set()

        listener.leaving = listener.draining = True
        listener.on_empty = emptied
        if listener.connections:
            self._leaving.add(listener)
        for connection in list(listener.connections):
            connection.drain(tunnels=tunnels)

    async def _serve(
        self, listener: Listener, sockets: tuple[socket.socket, ...]
    ) -> list[asyncio.Server]:
        def connection() -> ClientConnection:
            return ClientConnection(listener)

        servers = []
        for sock in sockets:
            if sock.family == socket.AF_UNIX:
                server = await self._loop.create_unix_server(
                    connection, sock=sock, backlog=BACKLOG, **_UNIX_OPTIONS
                )
            else:
                server = await self._loop.create_server(connection, sock=sock, backlog=BACKLOG)
            servers.append(server)
        return servers
