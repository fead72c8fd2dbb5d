"""Accepting connections from a socket that listens already."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

BACKLOG: Final = 2048
"""Connections that may wait to be accepted, at each socket."""

# The path belongs to whoever bound the socket, and others may go on with it.
_UNIX_OPTIONS: Final[dict[str, Any]] = (
    {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
)


class Acceptor:
    """Makes a protocol for each connection of a listening socket, which it owns."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        make: Callable[[], asyncio.BaseProtocol],
        sock: socket.socket,
        server: asyncio.Server,
    ) -> None:
        self._loop = loop
        self._make = make
        self._sock = sock
        self._server = server

    def close(self) -> None:
        """Accept no more; what waits in the socket is left to others who have it."""
        self._server.close()
        self._sock.close()

    async def finish(self) -> int:
        """Accept what waits in the socket, and no more, since nobody else will; how many."""
        self._server.close()
        count = 0
        with self._sock:
            while self._sock.fileno() >= 0:
                try:
                    connection, _ = self._sock.accept()
                except OSError:
                    break
                connection.setblocking(False)
                await self._loop.connect_accepted_socket(self._make, connection)
                count += 1
        return count


async def accept(
    loop: asyncio.AbstractEventLoop,
    make: Callable[[], asyncio.BaseProtocol],
    sock: socket.socket,
) -> Acceptor:
    """Accept connections of a socket. The acceptor closes it when it is closed."""
    served = sock.dup()
    if sock.family == socket.AF_UNIX:
        server = await loop.create_unix_server(make, sock=served, backlog=BACKLOG, **_UNIX_OPTIONS)
    else:
        server = await loop.create_server(make, sock=served, backlog=BACKLOG)
    return Acceptor(loop, make, sock, server)
