"""What the user writes about services and their endpoints, as typed and immutable values."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from proxy.config.address import as_written, check_endpoint, parse_address, parse_server
from proxy.config.protection import Breaker, Concurrency, HealthCheck, Outliers, check_key
from proxy.config.settings import Settings
from proxy.config.units import Duration, Share
from proxy.http1.field import check_editable
from proxy.http1.host import read_authority

_SRV: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63}){2,20}\.?")


class EndpointOptions(Settings):
    """One address of a service; the short form is its `url` alone."""

    shorthand = "url"

    url: str
    """`http://host:port`, `https://host:port` or `unix:/path.sock`."""
    weight: int = Field(default=1, ge=1, le=1000)
    """Its share of the traffic, compared with the other endpoints'."""
    priority: int = Field(default=0, ge=0, le=9)
    """0 serves; those of 1 and above stand by as long as enough of those before them are usable
    (`balance.panic`)."""

    @field_validator("url", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return as_written(value)

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        check_endpoint(value)
        return value


class Sticky(Settings):
    """Keep each client at the endpoint that it had first, by a signed cookie. Responses that
    shared caches may keep don't set it."""

    cookie: str = Field(default="sidegate_seat", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """The cookie's name."""
    secret: str = Field(min_length=16)
    """What it is signed with; write `!file PATH`, and the same for all replicas."""
    max_age: Duration | None = Field(default=None, ge=1)
    """How long the browser keeps it; by default until it is closed."""


class Balance(Settings):
    """Which of several endpoints a request goes to; the short form is `by` alone."""

    shorthand = "by"

    by: Literal["least_request", "round_robin", "ewma", "random", "hash"] = "least_request"
    """`least_request`: the less busy of two drawn by lot. `ewma`: the one of two that lately
    answered faster, its load considered. `round_robin`: in turn. `random`: by lot. `hash`:
    the same endpoint for the same `key`. Weights count in all of them. WebSockets, by the first
    two, go to the one of two that has fewer of them."""
    key: str = "client_ip"
    """For `hash`: `client_ip`, `path`, `header:NAME` or `cookie:NAME`. Requests without the
    field or cookie go by the client's address."""
    bound: float = Field(default=1.5, ge=1.05, le=100)
    """For `hash`: an endpoint that is asked more than so many times the average passes
    requests on to the next one."""
    slow_start: Duration = Field(default=0.0, le=3600)
    """A new or recovered endpoint's share grows from a tenth to the whole over this time; not
    for `hash`. Off by default."""
    sticky: Sticky | None = None
    """Before all that, a client's endpoint by a cookie, as long as that endpoint is fit. Off by
    default."""
    panic: Share = Field(default=0.25, le=1)
    """When fewer of the endpoints than this are usable, all are used again: better some failures
    than all requests on the last ones, and perhaps it is the checks that are wrong."""

    @field_validator("key")
    @classmethod
    def _known_key(cls, value: str) -> str:
        return check_key(value)


class Discovery(Settings):
    """Find endpoints, and find them again when they change; give one of `dns`, `srv` and
    `endpoints_file`. What was found last is used until there is another answer. Endpoints that
    stay keep their connections and what is known of them; those that go finish what they have."""

    dns: str | None = None
    """`http://NAME:PORT` or `https://NAME:PORT`: all addresses (A and AAAA) of the name, such as
    that of a headless Kubernetes Service."""
    srv: str | None = None
    """A name with SRV records, such as `_http._tcp.users.example.com`; their ports, weights and
    priorities hold."""
    scheme: Literal["http", "https"] = "http"
    """Of the endpoints that `srv` finds."""
    endpoints_file: str | None = None
    """A YAML or JSON file with a list like `endpoints`; looked at once a second."""
    servers: tuple[str, ...] = ()
    """Name servers to ask, as `10.0.0.10` or `127.0.0.1:5353`; by default the system's."""
    timeout: Duration = Field(default=5.0, ge=0.1, le=60)
    """How long a name server may take, and how long after the start requests wait for the first
    answer of all; later, while there is none, they get 503 `no_endpoints` at once."""
    least: Duration = Field(default=1.0, ge=0.05, le=3600)
    """Names are asked for again when their TTL is over, but not sooner than this."""
    most: Duration = Field(default=300.0, ge=0.05, le=86400)
    """And not later than this."""

    @field_validator("servers", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("servers")
    @classmethod
    def _servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parse_server(text)
        return value

    @field_validator("dns")
    @classmethod
    def _name(cls, value: str | None) -> str | None:
        if value is not None and parse_address(value, schemes=("http", "https")).scheme == "unix":
            raise ValueError(f"{value!r} is a socket, which no name server knows")
        return value

    @field_validator("srv")
    @classmethod
    def _record(cls, value: str | None) -> str | None:
        if value is not None and _SRV.fullmatch(value) is None:
            raise ValueError(f"{value!r} is no name of SRV records; write _http._tcp.NAME")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Discovery:
        given = [way for way in (self.dns, self.srv, self.endpoints_file) if way is not None]
        if len(given) != 1:
            raise ValueError("needs one of `dns`, `srv` and `endpoints_file`")
        if self.least > self.most:
            raise ValueError("`least` is more than `most`")
        return self


class Pool(Settings):
    """Connections kept to each endpoint."""

    size: int = Field(default=64, ge=1)
    """Connections that are kept when idle."""
    overflow: int = Field(default=64, ge=0)
    """Connections beyond `size` in a rush; closed once they are free for a second."""
    acquire_timeout: Duration = 2.0
    """How long a request waits for a free connection; then 503 `pool_exhausted`."""
    max_lifetime: Duration = 1800.0
    """A connection older than this is not used again."""
    max_idle: Duration = 60.0
    """A connection idle for longer is closed. Keep it under the service's own keep-alive."""
    tunnels: int = Field(default=1024, ge=0)
    """WebSockets open at once, which take none of the connections above; more are refused with
    503 `tunnels_exhausted`."""


class UpstreamTimeouts(Settings):
    """How long the service may take."""

    connect: Duration = 1.0
    """To accept a connection, TLS included; 504 `connect_timeout`."""
    response: Duration = 15.0
    """From the end of the request to the head of the response; 504 `upstream_timeout`."""
    body_idle: Duration = 30.0
    """Between two pieces of the response; the client's connection is closed."""
    per_try: Duration | None = Field(default=None, gt=0)
    """For one try as a whole, from the search for a connection to the head of the response; 504
    `upstream_timeout`. Give the policy `retry` the condition `timeout` to try again. The policy
    `deadline` bounds all tries and the body."""
    tell: str | None = None
    """Request field that tells the service how many milliseconds anybody will wait for the
    answer, such as `X-Request-Timeout-Ms`: the rest of the try or of the deadline."""

    @field_validator("tell")
    @classmethod
    def _field(cls, value: str | None) -> str | None:
        return None if value is None else check_editable(value, "request")


class UpstreamTls(Settings):
    """How HTTPS endpoints are verified."""

    verify: bool = True
    """Check certificate and name. Turning it off is for development only."""
    ca_file: str | None = None
    """PEM file of authorities to trust instead of the system's."""
    cert_file: str | None = None
    """PEM file of a certificate to show to the service, if it asks for one."""
    key_file: str | None = None
    """PEM file of its private key, without a passphrase."""
    server_name: str | None = None
    """Name to ask for (SNI) and to verify; by default the endpoint's host."""

    @model_validator(mode="after")
    def _pair(self) -> UpstreamTls:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("`cert_file` and `key_file` go together")
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are named."""
        named = (self.ca_file, self.cert_file, self.key_file)
        return tuple(name for name in named if name is not None)


class Upstream(Settings):
    """A service and where its endpoints are; the short form is the address of its only one."""

    shorthand = "endpoints"

    discovery: Discovery | None = None
    """Where to find endpoints, besides those that are listed."""
    endpoints: tuple[EndpointOptions, ...] = ()
    """Addresses, each a URL or a mapping of `url`, `weight` and `priority`."""
    balance: Balance = Balance()
    health: HealthCheck | None = None
    """Active checks; off unless given."""
    outliers: Outliers = Outliers()
    """What takes an endpoint out of use for a while."""
    breaker: Breaker | None = None
    """Circuit breaker; off unless given."""
    concurrency: Concurrency | None = None
    """Adaptive limit of requests at once; off unless given."""
    pool: Pool = Pool()
    timeouts: UpstreamTimeouts = UpstreamTimeouts()
    tls: UpstreamTls = UpstreamTls()
    host: str = "preserve"
    """Host field sent to it: `preserve` the client's, `endpoint`, or a literal name."""

    @field_validator("host")
    @classmethod
    def _sent(cls, value: str) -> str:
        if read_authority(value) is None:
            raise ValueError(
                f"{value!r} is no value of a Host field; write preserve, endpoint, or a name"
            )
        return value

    @field_validator("endpoints", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        value = as_written(value)
        return [value] if isinstance(value, str | dict) else value

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses of the endpoints, as configured."""
        return tuple(endpoint.url for endpoint in self.endpoints)

    @property
    def places(self) -> tuple[str, ...]:
        """Where its endpoints are: their addresses, and how others are found."""
        found = self.discovery
        if found is None:
            return self.urls
        if found.dns is not None:
            return (*self.urls, f"{found.dns} by DNS")
        return (*self.urls, f"{found.srv} by SRV" if found.srv else f"in {found.endpoints_file}")

    @field_validator("endpoints")
    @classmethod
    def _different(
        cls, value: tuple[EndpointOptions, ...], info: ValidationInfo
    ) -> tuple[EndpointOptions, ...]:
        if not value and info.data.get("discovery") is None:
            raise ValueError("must have at least 1 entry")
        seen: set[str] = set()
        for endpoint in value:
            if endpoint.url in seen:
                raise ValueError(f"{endpoint.url} is listed twice; give it a `weight` instead")
            seen.add(endpoint.url)
        return value

    @model_validator(mode="after")
    def _has_any(self) -> Upstream:
        if not self.endpoints and self.discovery is None:
            raise ValueError("has no endpoints; list some, or say by `discovery` where they are")
        return self
