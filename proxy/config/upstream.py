"""What the user writes about services and their endpoints, as typed and immutable values."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from proxy.config.address import check_endpoint, parse_address, parse_server
from proxy.config.settings import Settings
from proxy.config.units import Duration, Share
from proxy.http1.status import check_status

_TARGET: Final = re.compile(r"/[!-~]{0,1023}")
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
_SRV: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63}){2,20}\.?")
_KEY: Final = re.compile(r"(client_ip|path|(?:header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128})")


def _rows(value: object) -> object:
    rows = value if isinstance(value, list | tuple) else [value]
    return [str(row) if isinstance(row, int) else row for row in rows]


Statuses = Annotated[
    tuple[Annotated[str, AfterValidator(check_status)], ...], BeforeValidator(_rows)
]
"""Statuses as `503`, and classes of them as `5xx`; one may stand for a list of one."""


class EndpointOptions(Settings):
    """One address of a service; the short form is its `url` alone."""

    shorthand = "url"

    url: str
    """`http://host:port`, `https://host:port` or `unix:/path.sock`."""
    weight: int = Field(default=1, ge=1, le=1000)
    """Its share of the traffic, compared with the other endpoints'."""
    priority: int = Field(default=0, ge=0, le=9)
    """0 serves; those of 1 and above stand by until none before them is left."""

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        check_endpoint(value)
        return value


class Balance(Settings):
    """Which of several endpoints a request goes to; the short form is `by` alone."""

    shorthand = "by"

    by: Literal["least_request", "round_robin", "ewma", "random", "hash"] = "least_request"
    """`least_request`: the less busy of two drawn by lot. `ewma`: the one of two that lately
    answered faster, its load considered. `round_robin`: in turn. `random`: by lot. `hash`:
    the same endpoint for the same `key`. Weights count in all of them."""
    key: str = "client_ip"
    """For `hash`: `client_ip`, `path`, `header:NAME` or `cookie:NAME`. Requests without the
    field or cookie go by the client's address."""
    bound: float = Field(default=1.5, ge=1.05, le=100)
    """For `hash`: an endpoint that is asked more than so many times the average passes
    requests on to the next one."""
    slow_start: Duration = Field(default=0.0, le=3600)
    """A new or recovered endpoint's share grows from a tenth to the whole over this time; not
    for `hash`. Off by default."""
    panic: Share = Field(default=0.25, le=1)
    """When fewer of the endpoints than this are usable, all are used again: better some failures
    than all requests on the last ones, and perhaps it is the checks that are wrong."""

    @field_validator("key")
    @classmethod
    def _known_key(cls, value: str) -> str:
        if _KEY.fullmatch(value) is None:
            raise ValueError(
                f"{value!r} is no key; write client_ip, path, header:NAME or cookie:NAME"
            )
        return value


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
    """How long a name server may take, and how long requests wait for the first answer of all."""
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


class HealthCheck(Settings):
    """Ask each endpoint from time to time how it is; the short form is `path` alone. Each worker
    asks for itself."""

    shorthand = "path"

    path: str | None = None
    """Target of a GET, such as `/healthz`; without one it is enough that a connection opens."""
    host: str | None = None
    """Host field of the GET; by default the endpoint's own."""
    interval: Duration = Field(default=5.0, ge=0.05, le=3600)
    """From one check to the next, varied by lot by up to a fifth so that checks spread out."""
    timeout: Duration = Field(default=1.0, ge=0.01, le=60)
    """A check that takes longer is bad."""
    rise: int = Field(default=2, ge=1, le=100)
    """Good checks in a row until an unhealthy endpoint is used again."""
    fall: int = Field(default=3, ge=1, le=100)
    """Bad checks in a row until a healthy endpoint is no longer used. The first check of all
    decides alone."""
    status: Statuses = ("2xx", "3xx")
    """Statuses of a good answer: `200`, `2xx`."""
    body: str | None = Field(default=None, max_length=1024)
    """Text that a good answer has in its first 64 KiB."""
    latency: Duration | None = None
    """A good answer comes within this time."""

    @field_validator("path")
    @classmethod
    def _target(cls, value: str | None) -> str | None:
        if value is not None and _TARGET.fullmatch(value) is None:
            raise ValueError(f"{value!r} is no path; write /healthz")
        return value

    @field_validator("host")
    @classmethod
    def _plain_host(cls, value: str | None) -> str | None:
        if value is not None and _HOST.fullmatch(value) is None:
            raise ValueError(f"{value!r} is no value of a Host field")
        return value

    @model_validator(mode="after")
    def _fits(self) -> HealthCheck:
        if self.path is None and self.model_fields_set & {"host", "status", "body", "latency"}:
            raise ValueError("`host`, `status`, `body` and `latency` are of a GET; give its `path`")
        return self


class Outliers(Settings):
    """Take an endpoint out of use for a while when its own answers give it away. Works where
    there are several endpoints; `consecutive: null` and the rest left out turns it off."""

    consecutive: int | None = Field(default=5, ge=1, le=10_000)
    """Failures in a row: no connection, no answer, no HTTP, or 502, 503 or 504."""
    consecutive_5xx: int | None = Field(default=None, ge=1, le=10_000)
    """Answers of 500 and above in a row. Off by default: a bug in one page gives them as well."""
    success_rate: Share | None = Field(default=None, gt=0, le=1)
    """So far below the success rate of the other endpoints, in an `interval`. Off by default."""
    latency: float | None = Field(default=None, gt=1, le=1000)
    """So many times the usual mean time of the other endpoints, in an `interval`. Off by
    default."""
    interval: Duration = Field(default=10.0, ge=0.1, le=3600)
    """How long answers are counted before endpoints are compared."""
    volume: int = Field(default=20, ge=1)
    """Endpoints with fewer requests in an interval aren't compared."""
    ejection: Duration = Field(default=5.0, ge=0.1, le=3600)
    """For how long the first time; doubles with each time that follows. Back in use, one failure
    ejects it again until it has answered well."""
    longest: Duration = Field(default=300.0, ge=0.1, le=86400)
    """The bound of that doubling."""
    most: Share = Field(default=0.7, gt=0, le=1)
    """Of the endpoints; more are not ejected, and one always stays."""


class Breaker(Settings):
    """Stop asking a service that fails: requests get 503 `circuit_open` at once, until a few
    probes went well."""

    mode: Literal["enforce", "shadow", "off"] = "enforce"
    """`shadow` counts and logs what it would do, and lets all requests pass."""
    scope: Literal["upstream", "endpoint"] = "upstream"
    """One breaker for the whole upstream, or one for each endpoint; others are asked while one's
    is open."""
    failure_rate: Share | None = Field(default=0.5, gt=0, le=1)
    """Of the requests in the `window`; opens at this share."""
    window: Duration = Field(default=10.0, ge=0.1, le=3600)
    """How far back requests count."""
    volume: int = Field(default=20, ge=1)
    """With fewer requests in the window the rate proves nothing."""
    consecutive: int | None = Field(default=None, ge=1)
    """Opens after so many failures in a row as well. Off by default."""
    slow: Duration | None = Field(default=None, gt=0)
    """A response whose head takes longer is a failure. Off by default."""
    statuses: Statuses = ("502", "503", "504")
    """Answers that are failures; no connection, no answer and no HTTP always are."""
    rest: Duration = Field(default=5.0, ge=0.05, le=3600)
    """How long it stays open at first; doubles with each probe that fails. A service that asks
    for longer by Retry-After is given it, up to `longest`."""
    longest: Duration = Field(default=60.0, ge=0.05, le=86400)
    """The bound of that doubling."""
    probes: int = Field(default=3, ge=1, le=100)
    """Requests that may pass when the rest is over; it closes when all of them go well."""

    @model_validator(mode="after")
    def _fits(self) -> Breaker:
        if self.failure_rate is None and self.consecutive is None:
            raise ValueError("would never open; give `failure_rate` or `consecutive`")
        return self


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
    pool: Pool = Pool()
    timeouts: UpstreamTimeouts = UpstreamTimeouts()
    tls: UpstreamTls = UpstreamTls()
    host: str = "preserve"
    """Host field sent to it: `preserve` the client's, `endpoint`, or a literal name."""

    @field_validator("endpoints", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
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
