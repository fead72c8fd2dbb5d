"""The sockets that a worker listens on, and how they open, change and close."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable
from typing import Final

from proxy.config.model import Address, Server, parse_address
from proxy.server.connection import ClientConnection
from proxy.server.listener import Gateway, Listener

_BACKLOG: Final = 2048
_LAST_SECONDS: Final = 1.0

MakeListener = Callable[[str, str], Listener]
"""Scheme and port as text to a listener."""


class ListenError(Exception):
    """An address can't be listened on; the text says which and why."""


class Ports:
    """The open listeners by their configured address."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make: MakeListener) -> None:
        self._loop = loop
        self._make = make
        self._open: dict[str, tuple[Listener, asyncio.Server]] = {}
        self._leaving: set[Listener] = set()
        self._emptied = asyncio.Event()
        self.bound: dict[str, str] = {}

    async def update(self, settings: Server, gateway: Gateway) -> None:
        """Listen on exactly `settings.listen`, with this gateway.

        New addresses are opened first: raises ListenError and changes nothing when one
        can't be.
        """
        opened: dict[str, tuple[Listener, asyncio.Server]] = {}
        try:
            for text in settings.listen:
                if text not in self._open and text not in opened:
                    opened[text] = await self._listen(text)
        except ListenError:
            for _, server in opened.values():
                server.close()
            raise
        for text in [text for text in self._open if text not in settings.listen]:
            listener, server = self._open.pop(text)
            self.bound.pop(text, None)
            server.close()
            # Tunnels finish on the configuration that they began with.
            self._leave(listener, tunnels=False)
        self._open.update(opened)
        for listener, _ in self._open.values():
            listener.configure(gateway, settings)

    def close(self) -> None:
        """Accept no more connections."""
        for _, server in self._open.values():
            server.close()

    async def drain(self, seconds: float) -> int:
        """Let connections finish what they do, for so many seconds at most.

        Returns how many had to be broken off.
        """
        self.close()
        for listener in [*self._leaving, *(listener for listener, _ in self._open.values())]:
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

        listener.draining = True
        listener.on_empty = emptied
        if listener.connections:
            self._leaving.add(listener)
        for connection in list(listener.connections):
            connection.drain(tunnels=tunnels)

    async def _listen(self, text: str) -> tuple[Listener, asyncio.Server]:
        address = parse_address(text, schemes=("http",))
        unix = address.scheme == "unix"
        listener = self._make("http", "" if unix else str(address.port))

        def connection() -> ClientConnection:
            return ClientConnection(listener)

        try:
            if unix:
                _remove_stale_socket(address)
                server = await self._loop.create_unix_server(
                    connection, address.host, backlog=_BACKLOG
                )
                self.bound[text] = text
            else:
                server = await self._loop.create_server(
                    connection, address.host, address.port, backlog=_BACKLOG
                )
                listener.port = str(server.sockets[0].getsockname()[1])
                host = f"[{address.host}]" if ":" in address.host else address.host
                self.bound[text] = f"http://{host}:{listener.port}"
        except (OSError, UnicodeError) as error:
            raise ListenError(f"can't listen on {text}: {describe(error)}") from None
        return listener, server


def _remove_stale_socket(address: Address) -> None:
    """A socket file outlives a killed process, and would make binding fail for ever.

    Raises OSError when somebody listens on it.
    """
    with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
        if not stat.S_ISSOCK(os.stat(address.host).st_mode):
            return
        try:
            probe.connect(address.host)
        except ConnectionRefusedError:
            os.unlink(address.host)
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def describe(error: OSError | UnicodeError) -> str:
    """Why an address can't be used, in few words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
