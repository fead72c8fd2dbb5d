"""Two transports joined after an accepted Upgrade: bytes pass unread, both ways.

Back-pressure passes through, a half-close passes through, and an idle tunnel is closed. A
WebSocket is told with a close frame when the proxy shuts down. Knows transports and a clock,
nothing of connections, pools or requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from proxy.http1.websocket import GOING_AWAY, FrameTracker
from proxy.wire.deadlines import NEVER, Deadlines
from proxy.wire.half import end_half

CLOSE_GRACE: Final = 2.0
"""Seconds that a WebSocket client has to answer a close frame."""


class TunnelEnd(Protocol):
    """The upstream's half of an accepted upgrade."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """Where its bytes go; None when it was lost."""
        ...

    def join(self, tunnel: Tunnel) -> bytes:
        """Send everything from now on to the tunnel; the bytes that came before."""
        ...


class Tunnel:
    """The pair. `sent` counts bytes to the client, `received` bytes from it."""

    def __init__(
        self,
        client: asyncio.Transport,
        upstream: asyncio.Transport,
        deadlines: Deadlines,
        clock: Callable[[], float],
        idle: float,
        closed: Callable[[], None],
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._deadlines = deadlines
        self._clock = clock
        self._idle = idle
        self._closed = [closed]
        self._frames = FrameTracker()
        self._ended = {"client": False, "upstream": False}
        self._closing = False
        self._said_close = False
        self._open = True
        self.sent = 0
        self.received = 0
        self.reason = ""
        self.deadline = clock() + idle
        deadlines.add(self)

    def at_end(self, call: Callable[[], None]) -> None:
        """Call this as well once it has ended."""
        self._closed.append(call)

    def from_client(self, data: bytes) -> None:
        """Bytes from the client."""
        if not self._open or self._ended["client"]:
            return
        self.received += len(data)
        self._touch()
        self._upstream.write(data)

    def from_upstream(self, data: bytes) -> None:
        """Bytes from the upstream."""
        if not self._open or self._said_close:
            return
        self._touch()
        end = self._frames.feed(data)
        if self._closing and end >= 0:
            self.sent += end
            self._client.write(data[:end])
            self._say_close()
            return
        self.sent += len(data)
        self._client.write(data)

    def client_ended(self) -> None:
        """The client sends no more; pass the half-close on."""
        self._end("client", self._upstream)

    def upstream_ended(self) -> None:
        """The upstream sends no more; pass the half-close on."""
        self._end("upstream", self._client)

    def client_full(self, full: bool) -> None:
        """The client's transport takes no more, or takes more again."""
        self._gate(self._upstream, full)

    def upstream_full(self, full: bool) -> None:
        """The upstream's transport takes no more, or takes more again."""
        self._gate(self._client, full)

    def lost(self, reason: str) -> None:
        """A transport is gone, and so is the tunnel."""
        self._finish(reason)

    def shut_down(self) -> None:
        """Ask a WebSocket client to go, at the next end of a frame; close after a grace."""
        if self._open and not self._closing:
            self._closing = True
            self.deadline = self._clock() + CLOSE_GRACE
            if self._frames.between and not self._ended["upstream"]:
                self._say_close()

    def expire(self, now: float) -> None:
        """Nothing passed for too long, or the client ignored the close, or, after the end,
        somebody doesn't read what is left."""
        if self._open:
            self._finish("draining" if self._closing else "idle_timeout")
            return
        self._deadlines.discard(self)
        for transport in (self._client, self._upstream):
            transport.abort()

    def _say_close(self) -> None:
        self._said_close = True
        self._client.write(GOING_AWAY)

    def _touch(self) -> None:
        if not self._closing:
            self.deadline = self._clock() + self._idle

    def _end(self, side: str, other: asyncio.Transport) -> None:
        self._ended[side] = True
        # TLS can't be half-closed; there the end of one side is the end of both.
        over = all(self._ended.values()) or not other.can_write_eof()
        if self._open and not over and not other.is_closing():
            over = not end_half(other)
        if over:
            self._finish(f"{side}_closed")

    def _gate(self, transport: asyncio.Transport, full: bool) -> None:
        if self._open and not transport.is_closing():
            if full:
                transport.pause_reading()
            else:
                transport.resume_reading()

    def _finish(self, reason: str) -> None:
        if not self._open:
            return
        self._open = False
        self.reason = reason
        self.deadline = NEVER
        for transport in (self._client, self._upstream):
            if transport.get_write_buffer_size():
                self.deadline = self._clock() + self._idle
            if not transport.is_closing():
                transport.close()
        if self.deadline == NEVER:
            self._deadlines.discard(self)
        for call in self._closed:
            call()
