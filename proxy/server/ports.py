"""Where a worker accepts connections, and how that begins, changes and ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from proxy.config.model import Server
from proxy.server.connection import ClientConnection
from proxy.server.listener import Gateway, Listener
from proxy.wire.accept import Acceptor, Entrance

_LAST_SECONDS: Final = 1.0
_MOMENT_SECONDS: Final = 0.02

MakeListener = Callable[[str, str], Listener]
"""Scheme and port as text to a listener."""

Refused = Callable[[str, str], None]
"""Told of a connection that did not begin as it should: from where, and why."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker accepts from at one address. port: as text, empty for a UNIX socket."""

    sockets: tuple[socket.socket, ...]
    port: str


@dataclass(slots=True)
class _Port:
    """One address. doors: what is accepted from, by the worker whose share it is; 0 is this
    one itself."""

    listener: Listener
    entrance: Entrance
    doors: dict[int, list[Acceptor]] = field(default_factory=dict)

    @property
    def acceptors(self) -> list[Acceptor]:
        return [acceptor for door in self.doors.values() for acceptor in door]

    def close(self) -> None:
        for acceptor in self.acceptors:
            acceptor.close()

    async def finish(self) -> int:
        return sum([await acceptor.finish() for acceptor in self.acceptors])


class Ports:
    """The open ports of a worker by their configured address."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, make: MakeListener, refused: Refused
    ) -> None:
        self._loop = loop
        self._make = make
        self._refused = refused
        self._open: dict[str, _Port] = {}
        self._leaving: set[Listener] = set()
        self._emptied = asyncio.Event()

    async def update(
        self,
        settings: Server,
        gateway: Gateway,
        shares: Mapping[str, Share],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Accept at exactly `settings.listen`, with this gateway.

        shares: of the addresses that are new; their sockets are this worker's to close.
        tls: for those that are encrypted.
        """
        for text in [text for text in self._open if text not in settings.listen]:
            port = self._open.pop(text)
            await self._finish([port])
            # Tunnels finish on the configuration that they began with.
            self._leave(port.listener, tunnels=False)
        for text in settings.listen:
            entrance = _entrance(text, settings, tls)
            if text in shares:
                listener = self._make(text.partition(":")[0], shares[text].port)
                port = self._open[text] = _Port(listener, entrance)
                port.doors[0] = await self._serve(port, shares[text].sockets)
            port = self._open[text]
            if port.entrance != entrance:
                port.entrance = entrance
                await self._serve_anew(port)
            port.listener.configure(gateway, settings)

    async def adopt(self, worker: int, shares: Mapping[str, Share]) -> None:
        """Accept in the place of another worker as well, until it is back."""
        for text, share in shares.items():
            port = self._open.get(text)
            if port is not None:
                port.doors[worker] = await self._serve(port, share.sockets)

    def disown(self, worker: int) -> None:
        """That worker accepts for itself again."""
        for port in self._open.values():
            for acceptor in port.doors.pop(worker, ()):
                acceptor.close()

    def close(self) -> None:
        """Accept no more connections."""
        for port in self._open.values():
            port.close()

    def leave(self) -> None:
        """Go on, but have every response close its connection, so that clients go elsewhere."""
        for port in self._open.values():
            port.listener.leaving = True

    async def retire(self, seconds: float) -> None:
        """Accept no more, and wait until clients have gone elsewhere, so many seconds at most.

        No connection is closed but after a response, so that none is lost.
        """
        self.close()
        self.leave()
        for port in self._open.values():
            self._await_end(port.listener)
        await self._wait_until_empty(seconds)

    async def drain(self, seconds: float) -> int:
        """Let connections finish what they do, for so many seconds at most.

        Returns how many had to be broken off.
        """
        await self._finish(self._open.values())
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

    async def _finish(self, ports: Iterable[_Port]) -> None:
        """Accept what waits, and no more."""
        if sum([await port.finish() for port in list(ports)]):
            # What these clients have sent already is read in the loop's next rounds.
            await asyncio.sleep(_MOMENT_SECONDS)

    async def _wait_until_empty(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._connections():
                    self._emptied.clear()
                    await self._emptied.wait()

    def _connections(self) -> int:
        return sum(len(listener.connections) for listener in self._leaving)

    def _await_end(self, listener: Listener) -> None:
        def emptied() -> None:
            self._leaving.discard(listener)
            self._emptied.set()

        listener.on_empty = emptied
        if listener.connections:
            self._leaving.add(listener)

    def _leave(self, listener: Listener, *, tunnels: bool) -> None:
        listener.leaving = listener.draining = True
        self._await_end(listener)
        for connection in list(listener.connections):
            connection.drain(tunnels=tunnels)

    async def _serve_anew(self, port: _Port) -> None:
        """Accept from the same sockets in another way; what waits in them is not lost."""
        for worker, door in port.doors.items():
            port.doors[worker] = await self._serve(port, [one.socket.dup() for one in door])
            for acceptor in door:
                acceptor.close()

    async def _serve(self, port: _Port, sockets: Iterable[socket.socket]) -> list[Acceptor]:
        def connection(source: str | None) -> asyncio.Protocol:
            # A class with a base that isn't compiled would take its attributes from a dictionary,
            # which costs 0.5 µs a request. A protocol is asked for its base only when it
            # has `get_buffer`, which this must not get.
            return cast("asyncio.Protocol", ClientConnection(port.listener, source))

        acceptors = [
            Acceptor(self._loop, connection, sock, port.entrance, self._refused) for sock in sockets
        ]
        for acceptor in acceptors:
            await acceptor.start()
        return acceptors


def _entrance(text: str, settings: Server, tls: ssl.SSLContext | None) -> Entrance:
    sources = settings.proxy_protocol
    return Entrance(
        tls if text.startswith("https:") else None,
        settings.timeouts.head,
        tuple(source for source in sources if source != "unix"),
        "unix" in sources,
    )
