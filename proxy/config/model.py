"""What the user writes, as typed and immutable values. No I/O, no live state.

The docstring under each field is the reference that `sidegate schema` prints. Policies
stay raw here: their options are validated against the catalog when the gateway is compiled.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from proxy.config.settings import Settings
from proxy.config.telemetry import Telemetry
from proxy.config.units import Duration, Size

Network = IPv4Network | IPv6Network

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


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
    """Requests in flight may take so long; then their connections are closed."""


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
    """Addresses to listen on: `http://HOST:PORT` or `unix:/path.sock`."""
    trusted_proxies: tuple[Network, ...] = ()
    """Whose X-Forwarded-*, X-Request-ID and traceparent are believed."""
    forwarded: bool = False
    """Also send the standard `Forwarded` field (RFC 7239)."""
    underscores: Literal["drop", "refuse", "pass"] = "drop"
    """Field names with an underscore, which imitate dashed ones behind CGI-like gateways."""
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    drain: Drain = Drain()
    paths: Paths = Paths()
    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = 1
    """Processes that share the listeners; `auto` for one on each processor. A change of it
    takes effect at the next start. Rate limits are counted by each process on its own."""

    @field_validator("listen", "trusted_proxies", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("listen")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            check_listen(text)
        return value


class Admin(Settings):
    """The operator's side: health, metrics, configuration, reload."""

    listen: str | None = "http://127.0.0.1:9901"
    """Where it listens; loopback unless said otherwise. `null` turns it off."""

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            check_listen(value)
        return value


class Pool(Settings):
    """Connections kept to each endpoint."""

    size: int = Field(default=64, ge=1)
    """Connections that are kept when idle."""
    overflow: int = Field(default=64, ge=0)
    """Connections beyond `size` in a rush; closed once they are free."""
    acquire_timeout: Duration = 2.0
    """How long a request waits for a free connection; then 503 `pool_exhausted`."""
    max_lifetime: Duration = 1800.0
    """A connection older than this is not used again."""
    max_idle: Duration = 60.0
    """A connection idle for longer is closed. Keep it under the service's own keep-alive."""


class UpstreamTimeouts(Settings):
    """How long the service may take."""

    connect: Duration = 1.0
    """To accept a connection, TLS included; 504 `connect_timeout`."""
    response: Duration = 15.0
    """From the end of the request to the head of the response; 504 `upstream_timeout`."""
    body_idle: Duration = 30.0
    """Between two pieces of the response; the client's connection is closed."""


class UpstreamTls(Settings):
    """How HTTPS endpoints are verified."""

    verify: bool = True
    """Check certificate and name. Turning it off is for development only."""
    ca_file: str | None = None
    """PEM file of authorities to trust instead of the system's."""
    server_name: str | None = None
    """Name to ask for (SNI) and to verify; by default the endpoint's host."""


class Upstream(Settings):
    """A service and where its endpoints are."""

    endpoints: tuple[str, ...] = Field(min_length=1)
    """`http://host:port`, `https://host:port` or `unix:/path.sock`; used in turn."""
    pool: Pool = Pool()
    timeouts: UpstreamTimeouts = UpstreamTimeouts()
    tls: UpstreamTls = UpstreamTls()
    host: str = "preserve"
    """Host field sent to it: `preserve` the client's, `endpoint`, or a literal name."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"endpoints": [value]}
        if isinstance(value, dict) and isinstance(value.get("endpoints"), str):
            return {**value, "endpoints": [value["endpoints"]]}
        return value

    @field_validator("endpoints")
    @classmethod
    def _endpoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            check_endpoint(text)
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
    headers: dict[str, str] = {}
    """Field values: exact text, `~regex`, or `*` for present."""
    query: dict[str, str] = {}
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
    policies: dict[str, Any] = {}
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
    store: str | None = None
    """Shared state. In this version there is only process memory, so it must be absent."""
    telemetry: Telemetry = Telemetry()
    upstreams: dict[str, Upstream] = {}
    """Services by name."""
    policies: dict[str, Any] = {}
    """For every route; a route overrides one by name, or says `false`."""
    routes: tuple[Route, ...] = ()
    """Tried by precedence, not order; absent: everything goes to the only upstream."""

    @field_validator("store")
    @classmethod
    def _no_store_yet(cls, value: str | None) -> str | None:
        if value is not None:
            # Taking it and counting in memory would admit more than the limits say.
            raise ValueError("this version keeps its state in process memory; leave `store` out")
        return value


Route.model_rebuild()


def check_listen(text: str) -> None:
    """Raise ValueError, naming the fix, when `text` is no address to listen on."""
    parse_address(text, schemes=("http",))


def check_endpoint(text: str) -> None:
    """Raise ValueError, naming the fix, when `text` is no endpoint of an upstream."""
    parse_address(text, schemes=("http", "https"))


class Address(BaseModel):
    """A parsed `scheme://host:port` or `unix:/path`.

    scheme: `http`, `https` or `unix`. host: without brackets, or the socket's path.
    """

    model_config = ConfigDict(frozen=True)

    scheme: Literal["http", "https", "unix"]
    host: str
    port: int = 0


def parse_address(text: str, *, schemes: tuple[str, ...]) -> Address:
    """Read an address. Raises ValueError with the fix in words."""
    if text.startswith("unix:"):
        path = text[5:].removeprefix("//")
        if not path.startswith("/"):
            raise ValueError(
                f"{text!r}: the socket's path must be absolute, as in unix:/run/app.sock"
            )
        return Address(scheme="unix", host=path)
    scheme, found, rest = text.partition("://")
    if not found or scheme not in schemes:
        wanted = " or ".join(f"{scheme}://HOST:PORT" for scheme in schemes)
        raise ValueError(f"{text!r} is not an address; write {wanted}, or unix:/path.sock")
    rest = rest.removesuffix("/")
    if "@" in rest:
        # What stands before it may be a password, and this text goes into logs.
        shown = f"{scheme}://…@{rest.rpartition('@')[2]}"
        raise ValueError(f"{shown!r}: only a host and a port belong here, no user")
    if any(mark in rest for mark in "/?#"):
        raise ValueError(f"{text!r}: only a host and a port belong here, no path")
    if rest.startswith("["):
        host, closed, port_text = rest[1:].partition("]")
        if not closed:
            raise ValueError(f"{text!r}: the bracket around the IPv6 address isn't closed")
        port_text = port_text.removeprefix(":")
    else:
        host, _, port_text = rest.partition(":")
    if not host:
        raise ValueError(f"{text!r} names no host")
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"{text!r}: {host!r} is no name of a host") from None
    if not port_text:
        port = 443 if scheme == "https" else 80
    elif port_text.isascii() and port_text.isdigit() and int(port_text) <= 65535:
        port = int(port_text)
    else:
        raise ValueError(f"{text!r}: the port must be a number up to 65535")
    return Address.model_validate({"scheme": scheme, "host": host, "port": port})
