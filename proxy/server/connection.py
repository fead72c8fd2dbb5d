"""One client's connection: requests in, responses out, in order, one at a time.

May live here: whose turn it is, when the connection waits, who is late, how it ends. Must
not live here: what a head means (`arrival`, `http1`), where a body ends (`intake`), how a
response is framed (`reply`), what becomes of a request (`exchange`).

Bytes that follow the current request stay unread, and reading stops until it is answered:
so pipelined requests cost nothing before their turn and are answered in order.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from proxy.contract import Response
from proxy.errors import Aborted, GatewayError
from proxy.http1.framing import Framing
from proxy.http1.headers import Headers
from proxy.server.arrival import Arrival
from proxy.server.certified import make_visitor
from proxy.server.exchange import Exchange
from proxy.server.frame import frame_response
from proxy.server.intake import Intake
from proxy.server.listener import Listener
from proxy.server.pace import Pace
from proxy.server.reply import Sender
from proxy.server.stall import Stall
from proxy.server.visitor import Visitor
from proxy.wire.deadlines import INTERVAL, NEVER
from proxy.wire.flow import HIGH_WATER
from proxy.wire.half import end_half, half_open
from proxy.wire.reset import reset, was_reset
from proxy.wire.tunnel import Tunnel, TunnelEnd

# What is read and thrown away after an early answer, so that the client gets to read it.
_LINGER_BYTES: Final = 1024 * 1024
_LINGER_SECONDS: Final = 2.0


class ClientConnection:
    """A protocol (see `ports`): a connection. deadline: monotonic seconds, for the sweep."""

    def __init__(self, listener: Listener, source: str | None = None) -> None:
        self._listener, self._source = listener, source
        self._loop = listener.loop
        self._clock = listener.clock
        self._arrival = Arrival(listener.loop)
        self.sender = Sender(listener.loop, listener.pipes)
        self._stall = Stall(listener, self._break_slow_reader)
        self._transport: asyncio.Transport | None = None
        self._visitor = Visitor(listener, "")
        self._waiting = b""
        self._exchange: Exchange | None = None
        self._intake: Intake | None = None
        self._paused = False
        self._half_closed = False
        self._lingering = -1
        self._pace: Pace | None = None
        self._tunnel: Tunnel | None = None
        self.broken_by = "client_closed"
        self.deadline = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = self.sender.transport = cast("asyncio.Transport", transport)
        # uvloop's default low water is 16 bytes, which pauses and resumes at each write.
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._visitor = make_visitor(self._listener, transport, self._source)
        self.expire_in(self._listener.idle)
        self._listener.deadlines.add(self)
        if not self._listener.opened(self):
            self._refuse(GatewayError("overloaded", headers=(("Retry-After", "1"),), close=True))

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone: whatever was done for it ends."""
        self._transport = self.sender.transport = None
        self.sender.outflow.lose()
        self._stall.end()
        self.deadline = NEVER
        self._listener.deadlines.discard(self)
        if self._intake is not None:
            self._intake.break_off(GatewayError("incomplete_body"))
        if self._tunnel is None and self._exchange is not None:
            self._exchange.lost()
            return
        if self._tunnel is not None:
            self._tunnel.lost(self.broken_by)
        self._listener.closed(self)

    def pause_writing(self) -> None:
        """The client reads more slowly than it is sent to."""
        self.sender.outflow.pause()
        if self._tunnel is not None:
            self._tunnel.client_full(True)
        elif self._transport is not None:
            self._stall.begin(self._transport)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.sender.outflow.resume()
        self._stall.end()
        if self._tunnel is not None:
            self._tunnel.client_full(False)

    def eof_received(self) -> bool:
        """The client sends no more and may still read: answer what it asked."""
        self._half_closed = True
        if self._tunnel is not None:
            self._tunnel.client_ended()
        elif self._intake is not None:
            self._intake.break_off(GatewayError("incomplete_body"))
        elif self._exchange is not None and self._listener.half_close == "probe":
            # Whoever only sends no more passes it over (RFC 9110, 15.2); where nobody reads any
            # more the connection is reset, which ends what is done for it.
            self.sender.interim(100, Headers())
            self.expire_in(INTERVAL)
        elif self._exchange is not None and self._listener.half_close == "cancel":
            self.abort("client_closed")
        return bool(self._exchange or self._tunnel or self._waiting) and half_open(self._transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of a head, of a body, of a tunnel, or of requests to come."""
        if self._tunnel is not None:
            self._tunnel.from_client(data)
        elif self._intake is not None:
            rest = self._feed(self._intake, data)
            if rest:
                self._wait(rest)
        elif self._exchange is not None or self._waiting:
            self._wait(data)
        elif self._lingering >= 0:
            self._lingering += len(data)
            if self._lingering > _LINGER_BYTES:
                self._close("lingered")
        else:
            self._waiting = data
            self._read_soon()

    def _read_soon(self) -> None:
        turn = self._listener.turn
        turn.requests.append((ClientConnection._read, self))
        if not turn.planned:
            turn.plan()

    def _read(self) -> None:
        """Begin a request, if all of its head is here and none is being answered."""
        transport = self._transport
        if self._exchange is not None or transport is None or transport.is_closing():
            return
        listener = self._listener
        data, self._waiting = self._waiting, b""
        if self._paused:
            self._pause(False)
        arrival = self._arrival
        fresh = not arrival.partial
        try:
            head, rest = arrival.feed(data, listener.head_limit, listener.rules)
        except GatewayError as error:
            self._refuse(error)
            return
        if head is None:
            if self._half_closed:  # The rest of the head will never come.
                self._close("half_closed")
            elif fresh:
                self.expire_in(listener.timeouts.head)
            return
        request = self._visitor.request(head)
        exchange = Exchange(self, listener, request, head.size, head.keep_alive)
        request.exchange = exchange
        self.sender.reset(request.version)
        route = listener.gateway.resolve(request)
        self._exchange = exchange
        self.deadline = NEVER
        if head.framing != 0:
            rest = self._begin_body(exchange, head.framing, head.expects, rest, route.body_limit)
        if rest:
            self._wait(rest)
        exchange.begin(route.handler if request.failure is None else route.refuse)

    def _begin_body(
        self, exchange: Exchange, framing: Framing, expects: bool, rest: bytes, limit: int
    ) -> bytes:
        """Attach the body to the request; what follows it, if that has come already."""
        request = exchange.request
        if isinstance(framing, int):
            request.length = framing
            if framing <= len(rest) and framing <= limit:
                request.body = rest[:framing]
                exchange.received += framing
                return rest[framing:]
        else:
            request.length = None
        self._pace = None
        intake = self._intake = Intake(self._loop, self._gate, framing, limit)
        request.body = intake.inflow
        if isinstance(framing, int) and framing > limit:
            request.failure = GatewayError("body_too_large")
            intake.break_off(request.failure)
            return b""
        if expects and not rest:
            exchange.expect(intake.inflow)
            return b""
        self.expire_in(self._listener.timeouts.body_idle)
        after = self._feed(intake, rest) if rest else b""
        if intake.inflow.complete:
            request.body = intake.inflow.ready()
            request.length = len(request.body)
        return after

    def _feed(self, intake: Intake, data: bytes) -> bytes:
        exchange = self._exchange
        if exchange is not None:
            exchange.settle()
            exchange.received += len(data)
        rest = intake.feed(data)
        if rest is None:
            if not self._paused and exchange is not None:
                self.deadline = self._pace_of_body().due(self._clock(), exchange.received)
            return b""
        if exchange is not None:
            exchange.received -= len(rest)
        self._intake = None
        self.deadline = NEVER
        return rest

    def _gate(self, open_: bool) -> None:
        """The reader of the body fell behind, or has caught up."""
        self._pause(not open_)
        self.deadline = NEVER
        pace = self._pace_of_body()
        if not open_:
            pace.hold(self._clock())
        elif self._intake is not None:
            pace.go_on(self._clock())
            self.expire_in(self._listener.timeouts.body_idle)

    def _pace_of_body(self) -> Pace:
        """Counted from the first piece: before it the client may wait for `100 Continue`."""
        if self._pace is None:
            listener = self._listener
            pause, rate = listener.timeouts.body_idle, listener.limits.body_rate
            self._pace = Pace(self._clock(), pause, rate)
        return self._pace

    def _wait(self, data: bytes) -> None:
        self._waiting += data
        self._pause(True)

    def _refuse(self, error: GatewayError) -> None:
        """Answer what can't be read as a request, by the policies that answer errors."""
        listener = self._listener
        raw = self._arrival.partial
        request = self._visitor.unreadable(raw)
        exchange = self._exchange = Exchange(self, listener, request, len(raw), False)
        request.exchange = exchange
        request.failure = error
        self.sender.reset(request.version)
        self.deadline = NEVER
        # Whatever else comes is read and thrown away.
        self._intake = Intake(self._loop, self._gate, 1, 0)
        self._intake.break_off(error)
        exchange.begin(listener.gateway.resolve(request).refuse)

    def persists(self, response: Response) -> bool:
        """Whether another request may follow the one whose response this is."""
        # A body that was not read to its end leaves no way to find the next request.
        if response.close or self._listener.leaving or self._intake is not None:
            return False
        return not self._half_closed or bool(self._waiting)

    def ended(self, now: float) -> None:
        """The exchange is over: the next request, or the end of the connection."""
        exchange, self._exchange = self._exchange, None
        transport = self._transport
        if transport is None:
            # Counted until now, so that draining waits for what is told of the request.
            self._listener.closed(self)
        elif transport.is_closing():
            return
        elif self._intake is not None:
            self._linger(self._intake, transport)
        elif (exchange is not None and not exchange.keep_alive) or (
            (self._listener.draining or self._half_closed) and not self._waiting
        ):
            self._close("done")
        else:
            self.deadline = now + self._listener.idle
            if self._waiting:
                self._read_soon()
            elif self._paused:
                self._pause(False)

    def join(self, exchange: Exchange, response: Response) -> None:
        """Become the client's end of the tunnel that the response opens."""
        end = cast("TunnelEnd", response.tunnel)
        listener = self._listener
        if self._transport is None:
            raise ConnectionResetError("the client is gone")
        if end.transport is None:
            raise Aborted("upstream_closed")
        self.sender.write(frame_response(exchange.request, response, True, listener.date)[0])
        head_sent, head_received = self.sender.sent, exchange.received

        def closed() -> None:
            sent, received = head_sent + tunnel.sent, head_received + tunnel.received
            exchange.count(101, sent, received, self._clock(), "", tunnel.reason)

        tunnel = Tunnel(
            self._transport, end.transport, listener.deadlines, self._clock,
            listener.timeouts.tunnel_idle, closed,
        )  # fmt: skip
        self._tunnel = tunnel
        self._exchange = None
        self.deadline = NEVER
        early = end.join(tunnel)
        if early:
            tunnel.from_upstream(early)
        if self._waiting:
            tunnel.from_client(self._waiting)
            self._waiting = b""
        self._pause(False)
        if self._half_closed:
            tunnel.client_ended()
        if listener.draining:
            tunnel.shut_down()

    def _linger(self, intake: Intake, transport: asyncio.Transport) -> None:
        """Read on for a while after an early answer: closing at once would reset the
        connection and take the answer from the client (RFC 9112, 9.6)."""
        intake.break_off(GatewayError("incomplete_body"))
        self._intake = None
        if self._half_closed or not end_half(transport):
            self._close("done")
            return
        self._lingering = 0
        self.expire_in(_LINGER_SECONDS)
        self._pause(False)

    def expire(self, now: float) -> None:
        """The client took too long over what it was doing, or doesn't read what is left."""
        self.deadline = NEVER
        if self._transport is not None and self._transport.is_closing():
            self._break_slow_reader()
        elif self._exchange is None:
            if self._arrival.partial and self._lingering < 0:
                self._refuse(GatewayError("request_timeout", close=True))
            else:
                self._close("idle")
        elif self._exchange.deferred:
            self._exchange.say_continue()
        elif self._intake is not None:
            self._intake.break_off(GatewayError("request_timeout"))
        elif self._half_closed and self._transport is not None:
            if was_reset(self._transport):
                self.abort("client_closed")
            else:
                self.expire_in(INTERVAL)

    def drain(self, *, tunnels: bool) -> None:
        """Finish what is going on, then close; with `tunnels`, ask those to end too."""
        if tunnels and self._tunnel is not None:
            self._tunnel.shut_down()
        busy = self._exchange or self._waiting or self._tunnel or self._arrival.partial
        if not busy and self._lingering < 0:
            self._close("draining")

    def abort(self, reason: str = "draining") -> None:
        """Close at once, by default because the time for draining is over."""
        if self._transport is not None:
            self.broken_by = reason
            # Nothing that is written from now on is sent, and nothing shall be told as sent.
            self.sender.transport = None
            reset(self._transport)

    def give_up(self) -> None:
        """Close at once: something failed that there are no words for."""
        self.abort("internal_error")

    def _break_slow_reader(self) -> None:
        self._listener.count_close("slow_reader")
        self.abort("slow_reader")

    def _close(self, reason: str) -> None:
        self.expire_in(self._listener.timeouts.body_idle)
        self._listener.count_close(reason)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    def expire_in(self, seconds: float) -> None:
        """Set the deadline of what is being waited for."""
        self.deadline = self._clock() + seconds

    def _pause(self, paused: bool) -> None:
        if paused != self._paused and self._transport is not None:
            self._paused = paused
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
