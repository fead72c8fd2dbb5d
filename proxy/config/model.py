"""What the user writes, as typed and immutable values. No I/O, no live state.

The docstring under each field is the reference that `sidegate schema` prints. Policies
stay raw here: their options are validated against the catalog when the gateway is compiled.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from proxy.config.address import as_written, check_admin, check_listen
from proxy.config.cache import CacheMemory
from proxy.config.listing import at_least_one
from proxy.config.settings import Settings
from proxy.config.store import StoreOptions
from proxy.config.telemetry import Telemetry
from proxy.config.tls import Tls
from proxy.config.units import Duration, Size
from proxy.config.upstream import Upstream

Network = IPv4Network | IPv6Network

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def _named(value: object) -> object:
    if isinstance(value, str | int | list):
        raise ValueError("each upstream has a name; write {app: http://127.0.0.1:3000}")
    return value


def _by_name(value: object) -> object:
    rows = [value] if isinstance(value, str) else value
    if isinstance(rows, list) and all(isinstance(row, str) for row in rows):
        shown = ", ".join(f"{row}: {{}}" for row in rows[:8])
        raise ValueError(f"each policy has its options; write {{{shown}}}")
    return value


Policies = Annotated[dict[str, Any], BeforeValidator(_by_name)]


class Limits(Settings):
    """How large the parts of a request may be; beyond them it is refused."""

    head: Size = Field(default=32 * 1024, ge=1024, le=1024 * 1024)
    """Request line and fields together; 431 `head_too_large`."""
    fields: int = Field(default=100, ge=8, le=1000)
    """Number of header fields; 431 `head_too_large`."""
    target: Size = Field(default=8 * 1024, ge=256, le=256 * 1024)
    """The request target; 414 `target_too_long`."""
    body: Size = 10 * 1024 * 1024
    """The request body; 413 `body_too_large`. A route may set its own."""
    body_rate: Size = 100
    """Bytes a second that a body must make on the whole, either way, once it has gone on for
    `timeouts.body_idle`; 408, or the connection is closed. `0` for any."""
    connections: int = Field(default=10_000, ge=1)
    """Client connections at once; more are closed with 503 `overloaded`."""


class Timeouts(Settings):
    """How long the client may take."""

    head: Duration = 10.0
    """From the first byte of a request to the end of its head; 408 `request_timeout`."""
    idle: Duration = 75.0
    """Between two requests of a connection; then it is closed."""
    body_idle: Duration = 30.0
    """Between two pieces of a body, either way; 408, or the connection is closed."""
    tunnel_idle: Duration = 300.0
    """With no byte either way on a WebSocket or other tunnel; then it is closed."""
    expect: Duration = 1.0
    """How long the upstream may take to answer `Expect: 100-continue` before Sidegate does."""


class Drain(Settings):
    """How to stop: readiness fails at once, and listeners close after `delay`."""

    delay: Duration = 0.0
    """Go on accepting connections for so long, while load balancers take notice."""
    timeout: Duration = 30.0
    """Requests in flight and refreshes of the cache may take so long; then they are broken off."""
    upgrade: Duration = 3600.0
    """After SIGUSR2 the old process goes on for so long with connections that it has; then it
    drains what is left. Clients move to the new one with their next response, and WebSockets
    when they end."""


class Paths(Settings):
    """What becomes of targets that two programs could read differently."""

    dot_segments: Literal["refuse", "resolve"] = "refuse"
    """`.` and `..` segments, encoded or not: 400, or resolved before routing and forwarding."""
    encoded_slashes: Literal["refuse", "pass"] = "refuse"
    """`%2F`, `%5C` and backslashes: 400, or passed on and never taken for a separator."""
    empty_segments: Literal["refuse", "merge", "pass"] = "refuse"
    """`//`: 400, merged to one slash for routing and forwarding, or passed as it is."""


class Server(Settings):
    """The client's side."""

    listen: tuple[str, ...] = ("http://127.0.0.1:8080",)
    """Addresses to listen on: `http://HOST:PORT`, `https://HOST:PORT` or `unix:/path.sock`."""
    tls: Tls | None = None
    """Certificates for `https://` addresses."""
    proxy_protocol: tuple[Network | Literal["unix"], ...] = ()
    """From where connections begin with a PROXY header (version 1 or 2), which tells the
    client's address: the networks of load balancers, or `unix` for UNIX sockets. From there
    each connection must have one; from anywhere else none is believed."""
    trusted_proxies: tuple[Network, ...] = ()
    """Whose X-Forwarded-*, X-Request-ID and traceparent are believed."""
    forwarded: bool = False
    """Also send the standard `Forwarded` field (RFC 7239)."""
    underscores: Literal["drop", "refuse", "pass"] = "drop"
    """Field names with an underscore, which imitate dashed ones behind CGI-like gateways."""
    half_close: Literal["probe", "serve", "cancel"] = "probe"
    """When a client ends its side of the connection while it waits for an answer: it may have
    gone, or only have no more to send. `probe` sends `100 Continue`, which those who still read
    pass over and which is refused where nobody does, so that work for clients that are gone
    ends at once; `serve` answers all; `cancel` takes all for gone."""
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    drain: Drain = Drain()
    paths: Paths = Paths()
    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = 1
    """Processes that share the listeners; `auto` for one on each processor. A change of it
    takes effect at the next start, or upgrade."""

    @field_validator("listen", "proxy_protocol", "trusted_proxies", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        value = as_written(value)
        rows = re.split(r"\s*,\s*", value) if isinstance(value, str) else value
        return [as_written(row) for row in rows] if isinstance(rows, list | tuple) else rows

    @field_validator("listen")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in at_least_one(value):
            check_listen(text)
            if value.count(text) > 1 and not text.endswith(":0"):
                raise ValueError(f"{text} is listed twice")
        return value

    @model_validator(mode="after")
    def _certificates(self) -> Server:
        encrypted = next((text for text in self.listen if text.startswith("https:")), None)
        if encrypted is not None and self.tls is None:
            raise ValueError(f"{encrypted} needs certificates: add `tls: {{certificates: [...]}}`")
        if encrypted is None and self.tls is not None:
            raise ValueError("`tls` is for `https://` addresses, and `listen` has none")
        return self


class Admin(Settings):
    """The operator's side: health, metrics, configuration, reload."""

    off = "{listen: null}"

    listen: str | None = "http://127.0.0.1:9901"
    """Where it listens; loopback unless said otherwise. `null` turns it off."""

    @field_validator("listen", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        if value is False or value == "off":
            raise ValueError("write `listen: null` to turn it off")
        return as_written(value)

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            check_admin(value)
        return value


class Match(Settings):
    """Which requests a route takes; everything that is given has to hold."""

    host: str | None = None
    """`api.example.com` or `*.example.com`; absent for any."""
    path: str = "/**"
    """`/exact`, `/under/**`, `/users/{id}`, `/users/{id}/**` or `~regex` (the whole path).
    What `**` stands for is captured as `rest`."""
    methods: tuple[str, ...] = ()
    """Methods; empty for any. GET includes HEAD."""
    headers: dict[str, str] = Field(default={})
    """Field values: exact text, `~regex`, or `*` for present."""
    query: dict[str, str] = Field(default={})
    """Query parameters: exact text, `~regex`, or `*` for present."""

    @field_validator("methods", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class Route(Settings):
    """Requests that match, where they go, and by which policies."""

    name: str = Field(json_schema_extra={"pattern": f"^{_NAME.pattern}$"})
    """Unique; the label of its metrics and log lines."""
    match: Match = Match()
    upstream: str | None = None
    """A key of `upstreams`; may be left out when there is only one, or a policy answers."""
    limits: RouteLimits | None = None
    policies: Policies = Field(default={})
    """By name: options, `true` for the defaults, or `false` to leave one out."""

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if _NAME.fullmatch(value) is None:
            raise ValueError(
                f"{value!r} is no name; use at most 63 letters, digits, '_', '.' and '-', "
                "a letter or digit first"
            )
        return value


class RouteLimits(Settings):
    """Limits of a route in place of the server's."""

    body: Size | None = None
    """The request body; 413 `body_too_large`."""


class Config(Settings):
    """The whole file."""

    server: Server = Server()
    admin: Admin = Admin()
    store: StoreOptions = StoreOptions()
    """Where limits are counted, so that they hold for all instances together."""
    cache: CacheMemory = CacheMemory()
    telemetry: Telemetry = Telemetry()
    upstreams: Annotated[dict[str, Upstream], BeforeValidator(_named)] = Field(default={})
    """Services by name."""
    policies: Policies = Field(default={})
    """For every route; a route overrides one by name, or says `false`."""
    routes: tuple[Route, ...] = ()
    """Tried by precedence, not order; absent: everything goes to the only upstream."""


Route.model_rebuild()
