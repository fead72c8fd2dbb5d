"""What all connections of one address share, and the connections themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, Protocol

from proxy.asking import Given, Inside, Pending
from proxy.cells import Traffic
from proxy.config.model import Limits, Network, Server, Timeouts
from proxy.contract import Request, Response
from proxy.http1.message import HeadRules
from proxy.server.frame import DateLine
from proxy.wire.deadlines import Deadlines
from proxy.wire.splice import Pipes
from proxy.wire.turn import Turn

_TRUST_MEMORY: Final = 4096


class Level(Protocol):
    """The policies of a route around what answers, in steps that don't wait."""

    @property
    def inside(self) -> Inside:
        """What answers."""
        ...

    def descend(self, request: Request) -> Given | None:
        """The policies' steps before it; None when it is to answer."""
        ...

    def ascend(self, request: Request, response: Response) -> Given:
        """Their steps after it."""
        ...

    def fail(self, request: Request, error: BaseException) -> Given:
        """Their steps after it when it raised this."""
        ...

    def go_on(self, request: Request, waiting: Given) -> Pending:
        """Wait for what it answers, and take the steps after it."""
        ...


class Resolved(Protocol):
    """Where a request goes: a route, or what stands for none."""

    @property
    def handler(self) -> Level:
        """Answers a request."""
        ...

    @property
    def refuse(self) -> Level:
        """Answers with `request.failure`, through the same policies."""
        ...

    @property
    def body_limit(self) -> int:
        """Most bytes of a request body."""
        ...


class Gateway(Protocol):
    """What a connection asks of the compiled configuration."""

    def resolve(self, request: Request) -> Resolved:
        """Find the route, and note it on the request."""
        ...

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
        """An exchange is over: count and log it."""
        ...

    def unexpected(self, request: Request, error: BaseException) -> None:
        """Something escaped every policy: log it."""
        ...


class Client(Protocol):
    """A connection as the listener sees it."""

    def drain(self, *, tunnels: bool) -> None:
        """Finish what is going on, then close; with `tunnels`, ask those to end too."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class Listener:
    """Settings, limits and open connections of one address. Reload swaps `gateway` and
    the settings; connections read them anew for each request.

    port: its own port as text, told to upstreams; empty for a UNIX socket. leaving: each
    response closes its connection. draining: connections and tunnels end. certifies: clients
    may show certificates. tells_certificates: services are told of them.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        wall: Callable[[], float],
        deadlines: Deadlines,
        turn: Turn,
        pipes: Pipes,
        traffic: Traffic,
        scheme: str,
        port: str,
        gateway: Gateway,
        settings: Server,
    ) -> None:
        self.loop = loop
        self.clock = clock
        self.deadlines = deadlines
        self.turn = turn
        self.pipes = pipes
        self.traffic = traffic
        self.scheme = scheme
        self.port = port
        self.date = DateLine(wall)
        self.connections: set[Client] = set()
        self.leaving = False
        self.draining = False
        self.on_empty: Callable[[], None] | None = None
        self.configure(gateway, settings)

    def configure(self, gateway: Gateway, settings: Server) -> None:
        """Take over a compiled configuration; requests in flight keep the one they have."""
        self.gateway = gateway
        self.limits: Limits = settings.limits
        self.timeouts: Timeouts = settings.timeouts
        # What each request asks for: of a compiled class it costs a tenth.
        self.head_limit = settings.limits.head
        self.idle: float = settings.timeouts.idle
        self.standard = settings.forwarded
        self.half_close = settings.half_close
        client = None if settings.tls is None else settings.tls.client
        self.certifies = client is not None and self.scheme == "https"
        self.tells_certificates = client is not None and client.forward
        self.rules = HeadRules(
            settings.limits.fields, settings.limits.target, settings.underscores, settings.paths
        )
        self._networks: tuple[Network, ...] = settings.trusted_proxies
        self._trust: dict[str, bool] = {}

    def trusts(self, address: str) -> bool:
        """Whether an address is a trusted proxy's. A UNIX socket's peer has none and is."""
        if not self._networks:
            return False
        known = self._trust.get(address)
        if known is None:
            known = not address or _inside(address, self._networks)
            if len(self._trust) < _TRUST_MEMORY:
                self._trust[address] = known
        return known

    def opened(self, connection: Client) -> bool:
        """Count a new connection; False when there are too many."""
        self.connections.add(connection)
        self.traffic.accepted += 1
        self.traffic.open += 1
        return len(self.connections) <= self.limits.connections

    def closed(self, connection: Client) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        self.traffic.open -= 1
        if self.on_empty is not None and not self.connections:
            self.on_empty()

    def count_close(self, reason: str) -> None:
        """Count why the proxy closed a connection."""
        closed = self.traffic.closed
        closed[reason] = closed.get(reason, 0) + 1


def _inside(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)
