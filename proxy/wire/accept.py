"""Accepting connections from a socket that listens already.

May live here: TLS and the PROXY protocol as far as they come before the first byte of HTTP,
and how accepting ends without loss. Must not live here: who may connect, what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from proxy.http1.networks import Network, Networks, range_of
from proxy.wire.proxy_header import measure, read_source
from proxy.wire.tls import tell

BACKLOG: Final = 2048
"""Connections that may wait to be accepted, at each socket."""

_AT_ONCE: Final = 64
_PEEK: Final = 8192
_FINISH_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 0.1
# Some clients never say goodbye.
_SHUTDOWN_SECONDS: Final = 5.0
# The path belongs to whoever bound the socket, and others may go on with it.
_UNIX_OPTIONS: Final[dict[str, Any]] = (
    {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
)

Make = Callable[[str | None], asyncio.Protocol]
"""A protocol for a connection. Given the client's address where a PROXY header told it."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """What comes before HTTP.

    tls: None for none. seconds: for the handshake, and for a PROXY header. sources, unix:
    from where, and whether on UNIX sockets, connections begin with such a header.
    """

    tls: ssl.SSLContext | None = None
    seconds: float = 10.0
    sources: tuple[Network, ...] = ()
    unix: bool = False

    def options(self) -> dict[str, Any]:
        """As the loop's methods take them."""
        if self.tls is None:
            return {}
        return {
            "ssl": self.tls,
            "ssl_handshake_timeout": self.seconds,
            "ssl_shutdown_timeout": _SHUTDOWN_SECONDS,
        }


PLAIN: Final = Entrance()


class Acceptor:
    """Makes a protocol for each connection of a listening socket, which it owns.

    refused: told the address of whom, and why a PROXY header of theirs can't be used, or why
    their handshake failed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        make: Make,
        sock: socket.socket,
        entrance: Entrance = PLAIN,
        refused: Callable[[str, str], None] | None = None,
    ) -> None:
        self._loop = loop
        self._make = make
        self._entrance = entrance
        self._refused = refused
        self._sources = Networks(map(range_of, entrance.sources))
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.socket = sock

    async def start(self) -> None:
        """Begin to accept."""
        loop, sock = self._loop, self.socket
        announced = self._announces("") if sock.family == socket.AF_UNIX else self._entrance.sources
        # A server of the loop's tells nobody of a handshake that failed.
        if announced or self._entrance.tls is not None:
            loop.add_reader(sock, self._accept)
        elif sock.family == socket.AF_UNIX:
            self._server = await loop.create_unix_server(
                self._protocol, sock=sock.dup(), backlog=BACKLOG, **_UNIX_OPTIONS
            )
        else:
            self._server = await loop.create_server(
                self._protocol, sock=sock.dup(), backlog=BACKLOG
            )

    def close(self) -> None:
        """Accept no more; what waits in the socket is left to others who have it."""
        if self._server is not None:
            self._server.close()
        elif self.socket.fileno() >= 0:
            self._loop.remove_reader(self.socket)
        self.socket.close()

    async def finish(self) -> int:
        """Accept what waits in the socket, and no more, since nobody else will; how many."""
        count = 0
        if self.socket.fileno() >= 0:
            rest = self.socket.dup()
            self.close()
            with rest, contextlib.suppress(OSError):
                while connection := _accepted(rest):
                    self._spawn(self._admit(connection))
                    count += 1
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FINISH_SECONDS)
        return count

    def _announces(self, peer: str) -> bool:
        return peer in self._sources if peer else self._entrance.unix

    def _protocol(self) -> asyncio.Protocol:
        return self._make(None)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection = _accepted(self.socket)
            except OSError:
                # No descriptors are left, say. It stays readable, and would be asked without end.
                self._loop.remove_reader(self.socket)
                self._loop.call_later(_PAUSE_SECONDS, self._go_on)
                return
            if connection is None:
                return
            self._spawn(self._admit(connection))

    def _go_on(self) -> None:
        if self.socket.fileno() >= 0:
            self._loop.add_reader(self.socket, self._accept)

    async def _admit(self, connection: socket.socket) -> None:
        entrance = self._entrance
        peer = _address(connection)
        source = None
        try:
            if self._announces(peer):
                async with asyncio.timeout(entrance.seconds):
                    source = await _read_header(self._loop, connection)
        except EOFError:
            connection.close()
            return
        except (OSError, ValueError) as error:
            connection.close()
            if self._refused is not None:
                self._refused(peer, str(error) or "no PROXY header came in time")
            return
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._make(source), connection, **entrance.options()
            )
        except ssl.SSLError as error:
            if self._refused is not None:
                self._refused(source or peer, f"TLS: {tell(error)}")
        except OSError:
            # Who only leaves, or says nothing, is no more than a look at whether one can connect.
            pass

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _accepted(sock: socket.socket) -> socket.socket | None:
    """The next connection that waits; None when there is none. Raises OSError."""
    try:
        connection, _ = sock.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return None
    connection.setblocking(False)
    return connection


def _address(connection: socket.socket) -> str:
    try:
        name = connection.getpeername()
    except OSError:
        return ""
    return name[0].removeprefix("::ffff:") if isinstance(name, tuple) else ""


async def _read_header(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> str | None:
    """The client's address by the PROXY header. Takes not a byte more than the header's, since
    what follows may be for TLS. Raises ValueError when it is malformed or ends early, and
    EOFError for a connection without a byte: load balancers look like this whether they can
    connect."""
    header = b""
    while True:
        await _readable(loop, connection)
        try:
            seen = connection.recv(_PEEK, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        except ConnectionError:
            seen = b""
        if not (header or seen):
            raise EOFError
        if not seen:
            raise ValueError("the connection ended within its PROXY header")
        size = measure(header + seen)
        header += connection.recv(min(size - len(header), len(seen)))
        if len(header) >= size:
            return read_source(header)


async def _readable(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    ready = asyncio.Event()
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)
