"""A request and a response on their way between a client and a service.

Policies import these from `proxy.contract`. May live here: what is known of either. Must not
live here: what any policy makes of it, and options of policies, which no compiler takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from proxy.body import Body
from proxy.errors import GatewayError
from proxy.facts import Decision, RouteInfo, Timings, TraceContext
from proxy.http1.headers import Headers
from proxy.services import NO_EXCHANGE, Exchange

NO_TRACE = TraceContext("", "", "", 0, "")
NO_ROUTE = RouteInfo("", "", "")
NO_CAPTURES: Mapping[str, str] = {}

# What a request consists of.
_PARTS: Final = (
    "authority", "body", "captures", "client_ip", "decisions", "endpoint", "exchange",
    "failure", "forwarded", "headers", "host", "id", "length", "method", "path", "peer",
    "query", "route", "scheme", "state", "target", "timings", "trace", "trusted",
    "upgrade", "version",
)  # fmt: skip


class Request:
    """One request, owned by the coroutine that handles it.

    method: as on the wire, upper case. target: the bytes sent upstream (`/path?query`).
    path: decoded, as routes match it. query: raw, without the question mark. version:
    `1.0` or `1.1`. scheme: `http` or `https`, as the client used it. host: lower case, no
    port. authority: host and port as the client sent them. headers: end-to-end fields
    only. body, length: the body, and its length in bytes (None: unknown until its end).
    peer: address of the connection's other end. client_ip: the client's, by trusted hops.
    trusted: the peer is a trusted proxy. id: the request ID, empty until `request_id` ran.
    captures: path captures by name. decisions: what policies decided. state: free for
    policies, by their own name. endpoint: the upstream address that was asked. forwarded:
    finished lines that tell the upstream about the client. failure: why the request could
    not be read or routed; raised in place of forwarding.
    """

    __slots__ = _PARTS

    method: str
    target: bytes
    path: str
    query: str
    version: str
    scheme: str
    host: str
    authority: str
    headers: Headers
    body: Body
    length: int | None
    peer: str
    client_ip: str
    trusted: bool
    upgrade: str
    id: str
    trace: TraceContext
    route: RouteInfo
    captures: Mapping[str, str]
    decisions: list[Decision]
    state: dict[str, Any]
    timings: Timings
    endpoint: str
    failure: GatewayError | None
    exchange: Exchange
    forwarded: bytes

    def __init__(
        self,
        method: str,
        target: bytes,
        path: str,
        query: str,
        headers: Headers,
        version: str = "1.1",
        scheme: str = "http",
        host: str = "",
        authority: str = "",
        body: Body = b"",
        length: int | None = 0,
        peer: str = "",
        client_ip: str = "",
        trusted: bool = False,
        received: float = 0.0,
    ) -> None:
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.headers = headers
        self.version = version
        self.scheme = scheme
        self.host = host
        self.authority = authority
        self.body = body
        self.length = length
        self.peer = peer
        self.client_ip = client_ip
        self.trusted = trusted
        self.upgrade = ""
        self.id = ""
        self.trace = NO_TRACE
        self.route = NO_ROUTE
        self.captures = NO_CAPTURES
        self.decisions = []
        self.state = {}
        self.timings = Timings(received)
        self.endpoint = ""
        self.failure = None
        self.exchange = NO_EXCHANGE
        self.forwarded = b""

    def decide(self, policy: str, outcome: str, detail: str = "") -> None:
        """Note what a policy decided."""
        self.decisions.append(Decision(policy, outcome, detail))

    def copy(self) -> Request:
        """A copy with headers and decisions of its own, sharing body and timings."""
        # By `__init__`, which a class that is compiled makes none without.
        twin = Request(self.method, self.target, self.path, self.query, self.headers)
        for name in _PARTS:
            setattr(twin, name, getattr(self, name))
        twin.headers = self.headers.copy()
        twin.decisions = self.decisions.copy()
        return twin


class Response:
    """One response on its way to the client.

    status: 200 to 599 (or 101 with `tunnel`). headers: end-to-end fields only. body,
    length: as in `Request`; for HEAD and 304 `length` may tell a length with no body.
    origin: who made it. error: the code when Sidegate made it of a failure. tunnel: the
    upstream's half of an accepted Upgrade. close: the client's connection ends after it.
    """

    __slots__ = ("body", "close", "error", "headers", "length", "origin", "status", "tunnel")

    def __init__(
        self,
        status: int,
        headers: Headers | None = None,
        body: Body = b"",
        *,
        length: int | None = None,
        origin: Literal["proxy", "upstream"] = "proxy",
    ) -> None:
        self.status = status
        self.headers = Headers() if headers is None else headers
        self.body = body
        self.length = len(body) if length is None and isinstance(body, bytes) else length
        self.origin: Literal["proxy", "upstream"] = origin
        self.error = ""
        self.tunnel: object | None = None
        self.close = False

    def copy(self) -> Response:
        """A copy with headers of its own, sharing the body."""
        twin = Response(self.status, self.headers.copy(), self.body, length=self.length)
        twin.length = self.length
        twin.origin = self.origin
        twin.error = self.error
        twin.tunnel = self.tunnel
        twin.close = self.close
        return twin
