"""Sidegate's data plane between clients and a service of paper, on a paused clock.

Everything in between is real: connections, turns, levels, pools. May live here: the paper and
what stands on it when all is over. Must not live here: what is tried with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from proxy.cells import Traffic
from proxy.config.address import Address
from proxy.config.model import Server
from proxy.config.upstream import Pool as PoolOptions
from proxy.config.upstream import UpstreamTimeouts
from proxy.contract import Policy, Request, RouteInfo
from proxy.policies.cache.options import Options as CacheOptions
from proxy.policies.cache.policy import build
from proxy.policies.deadline import Deadline
from proxy.policies.deadline import Options as DeadlineOptions
from proxy.policies.error_envelope.options import Options as EnvelopeOptions
from proxy.policies.error_envelope.policy import ErrorEnvelope
from proxy.routing.table import Found
from proxy.runtime.chain import BoundPolicy, bind
from proxy.runtime.failing import raise_failure
from proxy.runtime.gateway import BoundRoute, Gateway
from proxy.server.connection import ClientConnection
from proxy.server.listener import Listener
from proxy.store.purge import Purge
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.endpoint import Endpoint
from proxy.upstream.forward import Forwarder
from proxy.upstream.pool import Pool
from proxy.wire.deadlines import Deadlines
from proxy.wire.flow import HIGH_WATER
from proxy.wire.splice import Pipes
from proxy.wire.turn import Turn
from tests.unit.paused_loop import PausedLoop, settle
from tests.unit.policies.world import World
from tests.unit.transport import Wire

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a.example\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: x\r\n\r\n"
)


class Line(Wire):
    """A transport with another end, which is moved by the test.

    open: the protocol has not been told of its end. stuck: the other end reads nothing.
    """

    def __init__(self, loop: PausedLoop) -> None:
        super().__init__()
        self._loop = loop
        self._protocol: ClientConnection | UpstreamConnection
        self._waiting: list[bytes | None] = []
        self._full = False
        self.open = True
        self.stuck = False

    def join(self, protocol: ClientConnection | UpstreamConnection) -> None:
        """Give it the end that is tested."""
        self._protocol = protocol
        protocol.connection_made(self)

    # -- what the tested end does ----------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.open:
            raise RuntimeError("the handler is closed")
        if self.closed:
            return
        super().write(data)
        if self.stuck:
            self.unsent += len(data)
            if self.unsent > HIGH_WATER and not self._full:
                self._full = True
                self._protocol.pause_writing()

    def close(self) -> None:
        super().close()
        if not self.unsent:
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        if not self.closed or self.unsent:
            self.unsent = 0
            self._loop.call_soon(self._lose, None)
        super().abort()

    def resume_reading(self) -> None:
        super().resume_reading()
        if self._waiting:
            self._loop.call_soon(self._deliver)

    # -- what the other end does -----------------------------------------------------------------

    def said(self) -> bytes:
        """What was written since the last time."""
        data, self.data = self.data, b""
        return data

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self._waiting.append(data)
        self._deliver()

    def end(self) -> None:
        """Send no more."""
        self._waiting.append(None)
        self._deliver()

    def take(self) -> None:
        """Read all that waits."""
        self.stuck = False
        self.unsent = 0
        if self.closed:
            self._loop.call_soon(self._lose, None)
        elif self._full:
            self._full = False
            self._protocol.resume_writing()

    def reset(self) -> None:
        """Break off."""
        self.unsent = 0
        self.closed = True
        self._lose(ConnectionResetError())

    def _deliver(self) -> None:
        while self._waiting and not self.paused and not self.closed:
            data = self._waiting.pop(0)
            if data is not None:
                self._protocol.data_received(data)
            elif not self._protocol.eof_received() and not self.closed:
                self.close()

    def _lose(self, error: Exception | None) -> None:
        if self.open:
            self.open = False
            self._protocol.connection_lost(error)


class Told(NamedTuple):
    """What the observer was told of a request."""

    target: str
    status: int
    error: str
    aborted: str
    sent: int
    received: int


class _Counting:
    """A gateway. begun: requests that were resolved."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.begun = 0
        self.finished = gateway.finished
        self.unexpected = gateway.unexpected

    def resolve(self, request: Request) -> BoundRoute:
        """As the gateway does."""
        self.begun += 1
        return self._gateway.resolve(request)


class Scene:
    """One route to one service. policies: around it, besides the envelope.

    services: the other ends of the connections to it. on_open: called while one opens.
    connections: those of clients. told: of the requests that are over. first_byte: when the last
    one's response came. failures: of the loop's callbacks.
    """

    def __init__(
        self,
        loop: PausedLoop,
        *policies: Policy,
        envelope: bool = True,
        pool: Mapping[str, Any] = {},
        **server: Any,
    ) -> None:
        self.loop = loop
        self.world = World()
        self._envelope = envelope
        self.services: list[Line] = []
        self.on_open: Callable[[], None] | None = None
        self.told: list[Told] = []
        self.first_byte = 0.0
        self.failures: list[dict[str, Any]] = []
        self.tasks: list[asyncio.Task[None]] = []
        loop.set_exception_handler(lambda _, context: self.failures.append(context))
        self.deadlines = Deadlines(loop.time)
        self.turn = Turn(loop)
        self.traffic = Traffic()
        options = PoolOptions.model_validate({"size": 4, "overflow": 0, **pool})
        self.pool = Pool("service", "http://service", options, self._open, loop.time, loop)
        address = Address(scheme="http", host="service", port=80)
        endpoint = Endpoint("http://service", address, "service", None, None, UpstreamTimeouts())
        self.forwarder = Forwarder(
            endpoint, self.pool, "preserve", 1.0, loop.time, self._spawn, loop
        )
        self.gateway = self._gateway(policies)
        self.listener = Listener(
            loop, loop.time, lambda: self.world.wall, self.deadlines, self.turn, Pipes(),
            self.traffic, "http", "80", self.gateway, Server.model_validate(server),
        )  # fmt: skip
        self.connections: list[Line] = []

    def cache(self) -> Policy:
        """A policy that stores what comes for five seconds."""
        toolkit = replace(self.world.toolkit, clock=self.loop.time, spawn=self._run)
        return build(CacheOptions.model_validate({"ttl": "5s"}), toolkit)

    def deadline(self) -> Policy:
        """A policy that gives everything more time than it takes."""
        toolkit = replace(self.world.toolkit, clock=self.loop.time)
        return Deadline(DeadlineOptions.model_validate({"timeout": "1h"}), toolkit)

    def bind(self, *policies: Policy) -> None:
        """Have other policies around the service, for the requests to come."""
        self.gateway = self.listener.gateway = self._gateway(policies)

    def finished(
        self,
        request: Request,
        status: int,
        sent: int,
        received: int,
        ended: float,
        error: str,
        aborted: str,
    ) -> None:
        """As an observer."""
        target = request.target.decode()
        self.first_byte = request.timings.first_byte
        self.told.append(Told(target, status, error, aborted, sent, received))

    def client(self) -> Line:
        """A new connection of a client."""
        line = Line(self.loop)
        self.connections.append(line)
        line.join(ClientConnection(self.listener, "192.0.2.7"))
        return line

    async def asked(self, data: bytes = GET) -> tuple[Line, Line]:
        """A client that has sent this, and the service that was asked because of it."""
        client = self.client()
        client.say(data)
        await settle()
        return client, self.services[-1]

    async def idle(self) -> Line:
        """A kept-alive connection to the service."""
        client, service = await self.asked()
        service.say(OK)
        await settle()
        client.reset()
        await settle()
        service.said()
        # What was stored would answer the next one.
        await self.world.trove.purge(Purge("all", ""))
        self.told.clear()
        self.gateway.begun = 0
        return service

    async def wait(self, seconds: float) -> None:
        """Let time pass, and sweep now and then."""
        end = self.loop.now + seconds
        while self.loop.now < end:
            self.loop.now = min(end, self.loop.now + 1.0)
            self.deadlines.sweep()
            await settle()

    def break_off(self) -> None:
        """As when the time for draining is over."""
        for connection in list(self.listener.connections):
            connection.abort()

    async def leave(self) -> None:
        """Have the clients that are left go."""
        for line in self.connections:
            if line.open:
                line.reset()
        await settle()

    def outcomes(self) -> str:
        """The status and what broke it off, of each request that is over."""
        return ", ".join(f"{told.status} {told.aborted}".rstrip() for told in self.told)

    def clean(self) -> None:
        """No request is under way, each was told of once, and nothing was lost or went wrong."""
        assert len(self.told) == self.gateway.begun
        assert self.traffic.in_flight == 0
        assert not [line for line in self.world.journal.lines if line[0] == "error"]
        assert not self.failures
        assert self.pool.in_use == 0
        assert self.pool.waiting == 0
        open_ = [line for line in self.services if line.open and not line.closed]
        assert len(open_) == self.pool.idle
        assert not any(line.paused for line in open_)
        assert all(task.done() for task in self.tasks)
        assert len(self.listener.connections) == sum(line.open for line in self.connections)

    def _gateway(self, policies: Sequence[Policy]) -> _Counting:
        bound = [BoundPolicy(type(policy).__name__, "enforce", policy) for policy in policies]
        if self._envelope:
            own = ErrorEnvelope(EnvelopeOptions(), self.world.toolkit)
            bound.insert(0, BoundPolicy("error_envelope", "enforce", own))
        route = BoundRoute(
            RouteInfo("all", "service", "/**"), bind(bound, self.forwarder),
            bind(bound, raise_failure), 1024 * 1024,
        )  # fmt: skip
        gateway = Gateway(lambda _: Found(route, {}), route, self, self.world.journal)
        return _Counting(gateway)

    async def _open(self, pool: Pool) -> UpstreamConnection:
        await asyncio.sleep(0)
        if self.on_open is not None:
            self.on_open()
        line = Line(self.loop)
        connection = UpstreamConnection(
            self.loop, self.loop.time, self.deadlines, self.turn, pool, 15.0, 30.0
        )
        line.join(connection)
        self.services.append(line)
        return connection

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._spawn(work)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.loop.create_task(work)
        self.tasks.append(task)
        return task
