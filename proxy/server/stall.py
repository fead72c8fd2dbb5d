"""Clients that stop reading. A slow one is fine as long as bytes leave at `limits.body_rate`; one
that takes fewer for `timeouts.body_idle` is broken off, since it holds memory and an upstream
connection."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import struct
import termios
from collections.abc import Callable

from proxy.server.listener import Listener
from proxy.wire.deadlines import NEVER


class Stall:
    """Watches one full transport. broken: called when nothing left it for too long.

    deadline: monotonic seconds, for the sweep; watched only while the transport is full.
    """

    __slots__ = ("_broken", "_listener", "_transport", "_unsent", "deadline")

    def __init__(self, listener: Listener, broken: Callable[[], None]) -> None:
        self._listener = listener
        self._broken = broken
        self._transport: asyncio.Transport | None = None
        self._unsent = 0
        self.deadline = NEVER

    def begin(self, transport: asyncio.Transport) -> None:
        """The transport is full."""
        self._transport = transport
        self._unsent = _unsent(transport)
        self._wait(self._listener.clock())
        self._listener.deadlines.add(self)

    def end(self) -> None:
        """It takes more again, or is gone."""
        if self._transport is not None:
            self._transport = None
            self.deadline = NEVER
            self._listener.deadlines.discard(self)

    def expire(self, now: float) -> None:
        """Break off, unless enough bytes have left since the last look."""
        transport = self._transport
        if transport is None:
            return
        unsent = _unsent(transport)
        listener = self._listener
        least = max(1.0, listener.limits.body_rate * listener.timeouts.body_idle)
        if self._unsent - unsent >= least:
            self._unsent = unsent
            self._wait(now)
        else:
            self.end()
            self._broken()

    def _wait(self, now: float) -> None:
        self.deadline = now + self._listener.timeouts.body_idle


def _unsent(transport: asyncio.Transport) -> int:
    """Bytes that the client has not taken, those in the kernel's buffer included.

    The kernel asks for more only when a third of its buffer is free, which takes a slow
    client long; without looking into it, such a client would seem to take nothing.
    """
    unsent = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            queue = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
            unsent += int(struct.unpack("i", queue)[0])
    return unsent
