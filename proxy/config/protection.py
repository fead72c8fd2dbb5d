"""What the user writes to keep services and their clients from harm: checks, ejections, breakers
and limits. Typed and immutable values."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from proxy.config.settings import Settings
from proxy.config.units import Duration, Share
from proxy.http1.status import check_status

_TARGET: Final = re.compile(r"/[!-~]{0,1023}")
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
_KEY: Final = re.compile(r"(client_ip|path|(?:header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128})")


def _rows(value: object) -> object:
    rows = value if isinstance(value, list | tuple) else [value]
    return [str(row) if isinstance(row, int) else row for row in rows]


Statuses = Annotated[
    tuple[Annotated[str, AfterValidator(check_status)], ...], BeforeValidator(_rows)
]
"""Statuses as `503`, and classes of them as `5xx`; one may stand for a list of one."""


def check_key(text: str) -> str:
    """What requests can be told apart by. Raises ValueError, which names the fix."""
    if _KEY.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no key; write client_ip, path, header:NAME or cookie:NAME")
    return text


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

    off = "{consecutive: null}"

    consecutive: int | None = Field(default=5, ge=1, le=10_000)
    """Failures in a row: no connection, no answer, no HTTP, or 502, 503 or 504. So many bodies
    that were cut short in a row, of those that streamed, count as well."""
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


class Concurrency(Settings):
    """Let no more requests to the service at once than it answers in its usual time; the short
    form is `most` alone. Beyond that they wait a little, and then get 503 `upstream_overloaded`.
    The policy `shed` gives routes a class; those of later classes wait and are turned away
    first. Each worker has a limit of its own."""

    shorthand = "most"

    mode: Literal["enforce", "shadow", "off"] = "enforce"
    """`shadow` measures, counts what it would turn away, and lets all requests pass."""
    start: int = Field(default=20, ge=1)
    """The limit once it is known how long an answer usually takes, within `least` and `most`."""
    least: int = Field(default=4, ge=1)
    """The limit never falls below this. Now and then, for a moment, it is lowered to this to
    measure what is usual."""
    most: int = Field(default=1000, ge=1)
    """The limit never rises above this."""
    tolerance: float = Field(default=1.5, ge=1, le=10)
    """How many times the usual time answers may take before the limit falls."""
    queue: int = Field(default=100, ge=0, le=100_000)
    """How many requests may wait."""
    patience: Duration = Field(default=0.2, gt=0, le=60)
    """How long one may wait if the queue ran empty within this time."""
    target: Duration = Field(default=0.02, gt=0, le=60)
    """How long one may wait if there is always somebody waiting."""
    fair: str | None = None
    """Let the requests of each `client_ip`, `header:NAME` or `cookie:NAME` wait in a row of their
    own, of which each gets its turn. Off by default."""

    @field_validator("fair")
    @classmethod
    def _known_key(cls, value: str | None) -> str | None:
        return None if value is None else check_key(value)

    @model_validator(mode="after")
    def _fits(self) -> Concurrency:
        if self.least > self.most:
            raise ValueError("`least` is more than `most`")
        return self
