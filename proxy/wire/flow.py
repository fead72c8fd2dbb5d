"""Back-pressure: a body that is read piece by piece, and a transport that can be full.

Both join a protocol's callbacks to the one coroutine that owns the exchange. They know
transports only as something to pause and resume, and no HTTP.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from proxy.errors import GatewayError
from proxy.wire.splice import Source

# One read of the loop adds up to 256 KB beyond the high mark.
HIGH_WATER: Final = 128 * 1024
LOW_WATER: Final = 32 * 1024


class Inflow:
    """A body on its way in: fed by a protocol, read by one coroutine.

    gate: called with False when too much waits unread, and with True when it may go on.
    on_wait: called when the reader first has to wait, so that `100 Continue` can be sent.
    on_abandon: called when the reader gives up before the end. on_end: called at the end, with
    False when the rest will never come; not when the reader gave up. source: where it comes
    from, if it may be carried from there.
    """

    __slots__ = ("_done", "_error", "_gate", "_loop", "_open", "_pieces", "_size", "_waiter",
                 "on_abandon", "on_end", "on_wait", "received", "source")  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, gate: Callable[[bool], None]) -> None:
        self._loop = loop
        self._gate = gate
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._open = True
        self._done = False
        self._error: GatewayError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.on_wait: Callable[[], None] | None = None
        self.on_abandon: Callable[[], None] | None = None
        self.on_end: Callable[[bool], None] | None = None
        self.received = 0
        self.source: Source | None = None

    def feed(self, piece: bytes) -> None:
        """Add a piece."""
        if not piece:
            return
        size = len(piece)
        self.received += size
        if self._done:
            # Its reader gave up; what is kept now would stop the sender for ever.
            return
        self._pieces.append(piece)
        self._size += size
        if self._size > HIGH_WATER and self._open:
            self._open = False
            self._gate(False)
        self._wake()

    def finish(self) -> None:
        """The body is complete."""
        # What its sender sends from now on is no longer for this reader to hold up.
        self.go_on()
        self._done = True
        self._wake()
        if self.on_end is not None:
            self.on_end(True)

    def fail(self, error: GatewayError) -> None:
        """The rest of the body will never come; readers get the error after what is there."""
        if not self._done and self._error is None:
            self._error = error
            self._wake()
            if self.on_end is not None:
                self.on_end(False)

    def discard(self) -> None:
        """Throw away what waits, and let the sender go on."""
        self._pieces.clear()
        self._size = 0
        self.go_on()

    def at_end(self, call: Callable[[bool], None]) -> None:
        """Have this called at the end, which may have been already."""
        if self._done or self._error is not None:
            call(self._error is None)
        else:
            self.on_end = call

    @property
    def complete(self) -> bool:
        """All bytes have arrived, though not all may have been read."""
        return self._done

    def ready(self) -> bytes:
        """All that has arrived and wasn't read, without waiting; possibly nothing."""
        if not self._pieces:
            return b""
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self.go_on()
        return data

    async def aclose(self) -> None:
        """Nobody will read the rest; what stands behind the body may let go of it."""
        self.discard()
        if not self._done and self._error is None:
            self._done = True
            self.on_end = None
            if self.on_abandon is not None:
                self.on_abandon()

    def __aiter__(self) -> Inflow:
        return self

    async def __anext__(self) -> bytes:
        """All that has arrived since the last call, at least a byte; GatewayError on failure."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._done:
                raise StopAsyncIteration
            if self.on_wait is not None:
                on_wait, self.on_wait = self.on_wait, None
                on_wait()
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self.ready()

    def hold(self) -> bytes:
        """Stop the sender, however little waits; what has arrived and wasn't read."""
        data = self.ready()
        self._open = False
        self._gate(False)
        return data

    async def wait(self, done: asyncio.Future[None]) -> None:
        """Return when this is done, which it is as well when the rest will never come."""
        if not self._done and self._error is None:
            self._waiter = done
            try:
                await done
            finally:
                self._waiter = None

    def go_on(self) -> None:
        """Let the sender go on, if it was stopped."""
        if not self._open:
            self._open = True
            self._gate(True)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Outflow:
    """Whether a transport takes more; a protocol reports, one coroutine waits."""

    __slots__ = ("_loop", "_lost", "_waiter", "full")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False
        self.full = False

    def pause(self) -> None:
        """The transport's buffer is full."""
        self.full = True

    def resume(self) -> None:
        """The transport takes more."""
        self.full = False
        self._wake()

    def lose(self) -> None:
        """The transport is gone; waiters get ConnectionResetError."""
        self._lost = True
        self._wake()

    async def drain(self) -> None:
        """Return when more may be written. Raises ConnectionResetError when it never may."""
        while self.full and not self._lost:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._lost:
            raise ConnectionResetError("the connection was lost")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
