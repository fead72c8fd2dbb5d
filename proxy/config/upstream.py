"""What the user writes about services and their endpoints, as typed and immutable values."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import Field, field_validator

from proxy.config.address import check_endpoint
from proxy.config.settings import Settings
from proxy.config.units import Duration

_KEY: Final = re.compile(r"(client_ip|path|(?:header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128})")


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

    @field_validator("key")
    @classmethod
    def _known_key(cls, value: str) -> str:
        if _KEY.fullmatch(value) is None:
            raise ValueError(
                f"{value!r} is no key; write client_ip, path, header:NAME or cookie:NAME"
            )
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
    """A service and where its endpoints are; the short form is the address of its only one."""

    shorthand = "endpoints"

    endpoints: tuple[EndpointOptions, ...]
    """Addresses, each a URL or a mapping of `url`, `weight` and `priority`."""
    balance: Balance = Balance()
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

    @field_validator("endpoints")
    @classmethod
    def _different(cls, value: tuple[EndpointOptions, ...]) -> tuple[EndpointOptions, ...]:
        if not value:
            raise ValueError("must have at least 1 entry")
        seen: set[str] = set()
        for endpoint in value:
            if endpoint.url in seen:
                raise ValueError(f"{endpoint.url} is listed twice; give it a `weight` instead")
            seen.add(endpoint.url)
        return value
