"""One connection to an endpoint: a request out, its response in, one exchange at a time.

May live here: the life of an exchange on the wire. Must not live here: which endpoint, which
connection, what to do about a failure (see `forward` and `pool`).

States: *idle* (in the pool), *asking* (waiting for a response head), *reading* (a body is
coming), *joined* (a tunnel's end), *closed*.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, cast

from proxy.asking import Asker
from proxy.contract import Response
from proxy.errors import GatewayError, Unanswered
from proxy.http1.chunked import ChunkedError
from proxy.http1.message import ResponseHead
from proxy.upstream.coming import Coming
from proxy.upstream.heads import Heads
from proxy.wire.deadlines import NEVER, Deadlines
from proxy.wire.flow import HIGH_WATER, Inflow, Outflow
from proxy.wire.half import half_open
from proxy.wire.splice import LEAST, Source, is_plain
from proxy.wire.tunnel import Tunnel
from proxy.wire.turn import Turn

# A socket that was just used is watched by the loop closely enough; asking the kernel
# costs 0.6 µs.
_FRESH: Final = 0.02


class ConnectionClosed(Unanswered):
    """The connection ended before any byte of the response."""


class Owner(Protocol):
    """Where a connection goes when its exchange is over."""

    def release(self, connection: UpstreamConnection) -> None:
        """It may serve another request."""
        ...

    def joined(self, connection: UpstreamConnection) -> None:
        """It has become a tunnel."""
        ...

    def discard(self, connection: UpstreamConnection, reason: str) -> None:
        """It may not; `reason` labels a metric."""
        ...


class UpstreamConnection:
    """A connection to one endpoint, owned by a pool; a protocol (see `endpoint`).

    born, idle_since: monotonic seconds. deadline: for the sweep. used: requests so far. keep:
    seconds that it stays open when idle, -1 unsaid. pump: sends a body, no longer than is asked.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        deadlines: Deadlines,
        turn: Turn,
        owner: Owner,
        response_timeout: float,
        body_idle: float,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._deadlines = deadlines
        self._turn = turn
        self._owner = owner
        self._response_timeout = response_timeout
        self._body_idle = body_idle
        self._heads = Heads(loop)
        self._head_waits = self._answered = False
        self._asker: Asker | None = None
        self._method, self._upgrade = "", False
        self._sent = self._reuse = True
        self._coming: Coming | None = None
        self._tunnel: Tunnel | None = None
        self._early = b""
        self._poll: select.poll | None = None
        self.outflow = Outflow(loop)
        self.pump: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None
        self.born = self.idle_since = clock()
        self.deadline = NEVER
        self.used, self.keep = 0, -1

    def alive(self, now: float, careful: bool) -> bool:
        """It can take a request now; `careful` asks the kernel even when it was just used."""
        if self.transport is None or self.transport.is_closing():
            return False
        if self._poll is None or not (careful or now - self.idle_since > _FRESH):
            return True
        # Readable while idle means closed or stray bytes: neither may be picked.
        return not self._poll.poll(0)

    def ask(
        self, method: str, data: bytes, whole: bool, upgrade: bool, asker: Asker, now: float
    ) -> None:
        """Send a request's head, with its body when `whole`; the asker hears of the response.

        It fails with ConnectionClosed when nothing of a response came, which this raises
        when nothing could be sent. After a body that streams, call `sent_all`. now: the
        present, in monotonic seconds.
        """
        if self.transport is None or self.transport.is_closing():
            raise ConnectionClosed("upstream_closed", cause="closed before the request")
        self._asker = asker
        self._answered = False
        self._method = method
        self._heads.begin()
        self._upgrade = upgrade
        self._reuse = True
        self._sent = whole
        self.used += 1
        self.deadline = now + self._response_timeout if whole else NEVER
        self.transport.write(data)

    def send(self, data: bytes) -> None:
        """Write more of the request."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def sent_all(self) -> None:
        """The request is complete; the time for its response begins."""
        self._sent = True
        if self._asker is not None and not self._answered:
            self.deadline = self._clock() + self._response_timeout

    @property
    def answering(self) -> bool:
        """The exchange that was asked for is still going on."""
        return self._asker is not None

    def abort(self, reason: str, asker: Asker | None = None) -> None:
        """Break off whatever goes on; a body that was coming fails.

        asker: of the exchange that is meant; another one that has begun since goes on.
        """
        if asker is not None and self._asker is not asker:
            return
        if self._coming is not None:
            # Whoever watches how bodies end needn't know of it.
            self._coming.inflow.on_end = None
        self._fail(GatewayError("upstream_closed", cause=reason), reason)
        if self.transport is not None:
            self.transport.abort()

    def give_up(self) -> None:
        """Break off: something failed that there are no words for."""
        self.abort("internal_error")

    def close(self, reason: str) -> None:
        """Take no further part in anything, and close; `reason` labels a metric."""
        self._asker = self._coming = None
        self.deadline = NEVER
        if self.pump is not None:
            self.pump.cancel()
        self._owner.discard(self, reason)
        transport = self.transport
        if transport is not None and not transport.is_closing():
            # What an upstream never reads would keep the socket open for ever.
            (transport.abort if transport.get_write_buffer_size() else transport.close)()

    def join(self, tunnel: Tunnel) -> bytes:
        """Become the upstream's end of a tunnel; the bytes that came after its 101."""
        self._tunnel = tunnel
        self._asker = None
        self.deadline = NEVER
        if self.outflow.full:
            tunnel.upstream_full(True)
        return self._early

    def expire(self, now: float) -> None:
        """The upstream took too long, or an idle connection got too old."""
        if self._asker is None:
            self.close("idle")
        else:
            waited = self._coming is None
            kind, cause = (Unanswered, "no response") if waited else (GatewayError, "body stalled")
            self._fail(kind("upstream_timeout", cause=cause), "timeout")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        # uvloop's default low water is 16 bytes, which pauses and resumes at each write.
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        self._deadlines.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of a response head or body, of a tunnel, or stray ones."""
        if self._coming is not None:
            self._read_body(self._coming, data)
        elif self._tunnel is not None:
            self._tunnel.from_upstream(data)
        elif self._asker is None:
            self.close("stray_bytes")
        elif not self._answered:
            if not self._head_waits:
                self._head_waits = True
                self._turn.responses.append((UpstreamConnection._read_head, self))
                if not self._turn.planned:
                    self._turn.plan()
            self._heads.data += data
            if len(self._heads.data) > HIGH_WATER:
                # A turn of the loop would bring megabytes of a body, each read joined to all
                # before it: a download of 10 MiB took 2.5 times the CPU time.
                self._gate(False)
        else:
            self._early += data

    def eof_received(self) -> bool:
        """The upstream sends no more; keep writing possible for tunnels only."""
        if self._tunnel is not None:
            self._tunnel.upstream_ended()
            return half_open(self.transport)
        self._ended(clean=True)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The transport is gone."""
        self._deadlines.discard(self)
        self.transport = None
        self.outflow.lose()
        if self._tunnel is not None:
            self._tunnel.lost("upstream_closed")
            self._owner.discard(self, "tunnel")
        else:
            self._ended(clean=error is None)

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        self.outflow.pause()
        if self._tunnel is not None:
            self._tunnel.upstream_full(True)
        elif not self._sent:
            self.deadline = self._clock() + self._body_idle

    def resume_writing(self) -> None:
        """The socket takes more."""
        self.outflow.resume()
        if self._tunnel is not None:
            self._tunnel.upstream_full(False)
        elif not self._sent:
            self.deadline = NEVER if self._coming is None else self._clock() + self._body_idle

    def _read_head(self) -> None:
        """Read what came of a head, if nobody did yet."""
        asker = self._asker
        if asker is None or not self._head_waits:
            return
        self._head_waits = False
        if len(self._heads.data) > HIGH_WATER:
            self._gate(True)
        try:
            read = self._heads.read(self._method, asker.interim)
        except GatewayError as error:
            self._fail(error, "invalid")
        else:
            if read is not None:
                self._begin(asker, *read)

    def _begin(self, asker: Asker, head: ResponseHead, rest: bytes) -> None:
        response = Response(head.status, head.headers, origin="upstream")
        response.length = head.length
        self._reuse, self.keep = head.reuse, head.idle
        framing = head.framing
        # Whoever is told may ask this very connection again: it is given back before.
        if head.status == 101:
            protocol = response.headers.raw("upgrade")
            if not self._upgrade or protocol is None or protocol.lower() != b"websocket":
                self._fail(GatewayError("upstream_invalid", cause="unasked 101"), "invalid")
                return
            response.tunnel = self
            # Who was told may be gone by now, and nobody joins it.
            self.deadline = self._clock() + self._response_timeout
            self._early = rest
            self._owner.joined(self)
            self._answered = True
        elif framing == 0:
            if self._method != "HEAD" and head.status not in (204, 304):
                response.length = 0
            self._complete(rest)
        elif isinstance(framing, int) and len(rest) >= framing:
            response.body = rest if len(rest) == framing else rest[:framing]
            self._complete(rest[framing:])
        else:
            inflow = Inflow(self._loop, self._gate)
            coming = self._coming = Coming(inflow, framing)
            inflow.on_abandon = partial(self.abort, "abandoned")
            response.body = inflow
            self.deadline = self._clock() + self._body_idle
            transport = self.transport
            if isinstance(framing, int) and framing >= LEAST and transport and is_plain(transport):
                inflow.source = Source(transport, self._passed)
            if rest:
                self._read_body(coming, rest)
            if inflow.complete:
                # The end came along with the head: a body of known length is cheaper to send.
                response.body = inflow.ready()
                response.length = len(response.body)
            elif self._asker is None:
                # What came along was malformed, and the asker has been told.
                return
            self._answered = True
        asker.answered(response)

    def _read_body(self, coming: Coming, data: bytes) -> None:
        self.deadline = self._clock() + self._body_idle
        try:
            rest = coming.feed(data)
        except ChunkedError as error:
            self._fail(GatewayError("upstream_invalid", cause=str(error)), "invalid")
            return
        if rest is not None:
            self._finish_body(coming.inflow, rest)

    def _passed(self, size: int, blocked: bool) -> None:
        """So much of the body has gone by, and the client is slow if `blocked`."""
        coming = self._coming
        if coming is None:
            return
        self.deadline = NEVER if blocked else self._clock() + self._body_idle
        if coming.skip(size):
            self._finish_body(coming.inflow, b"")

    def _finish_body(self, inflow: Inflow, rest: bytes) -> None:
        self._coming = None
        inflow.finish()
        self._complete(rest)

    def _complete(self, rest: bytes) -> None:
        """The response is whole: give the connection back, unless anything is odd about it."""
        self._asker = None
        self.deadline = NEVER
        if rest:
            self.close("stray_bytes")
        elif not self._sent:
            self.close("early_response")
        elif not self._reuse:
            self.close("not_persistent")
        else:
            self._owner.release(self)

    def _ended(self, *, clean: bool) -> None:
        self._read_head()
        coming = self._coming
        if coming is not None and clean and coming.ends_by_closing:
            self._reuse = False
            self._finish_body(coming.inflow, b"")
        elif coming is not None:
            self._fail(GatewayError("upstream_closed", cause="response cut short"), "cut_short")
        elif self._asker is not None and self._heads.data:
            self._fail(GatewayError("upstream_invalid", cause="head cut short"), "cut_short")
        elif self._asker is not None:
            # An interim response was a byte of the response: asking again is ruled out.
            kind = GatewayError if self._heads.interims else ConnectionClosed
            self._fail(kind("upstream_closed"), "closed_by_upstream")
        else:
            self.close("closed_by_upstream")

    def _fail(self, error: GatewayError, reason: str) -> None:
        asker, coming = self._asker, self._coming
        self.close(reason)
        if coming is not None:
            coming.inflow.fail(error)
        if asker is not None and not self._answered:
            asker.failed(error)

    def _gate(self, open_: bool) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if open_:
            transport.resume_reading()
            if self._coming is not None:
                self.deadline = self._clock() + self._body_idle
        else:
            # While the client reads slowly the upstream isn't late.
            transport.pause_reading()
            self.deadline = NEVER
