"""What the user writes under `telemetry:`. No I/O, no live state."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from proxy.config.settings import Settings
from proxy.config.units import Duration


class Sampling(Settings):
    """Which requests have an access line, where not all do. A line is written for every request
    that failed or was slow, and for a share of the rest, told by the trace ID: the same that
    `tracing` samples at the same ratio."""

    ratio: float = Field(default=0.01, ge=0.0, le=1.0)
    """Share of the rest, from 0 to 1."""
    slow: Duration = 0.5
    """Requests that took so long are written."""
    status: int = Field(default=500, ge=100, le=600)
    """Responses of this status and above are written; so is what broke off."""


class Logging(Settings):
    """Structured logs, one line each."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is written."""
    access: bool = True
    """One line for each request."""
    sample: Sampling | None = None
    """Access lines for some requests only; absent: for each."""
    file: str | None = None
    """The file to append to, by default standard output. SIGUSR1 opens it anew, after it was
    renamed by a rotation."""
    format: Literal["auto", "json", "console"] = "auto"
    """JSON lines, or text for people; `auto` is text on a terminal and JSON elsewhere."""
    redact_query: tuple[str, ...] = (
        "access_token", "api_key", "apikey", "assertion", "auth", "authorization", "code",
        "credential", "jwt", "passphrase", "passwd", "password", "private_key", "pwd",
        "saml_response", "secret", "session_id", "sig", "signature", "token",
    )  # fmt: skip
    """Query parameters whose values are never written, nor values that hold one of them in turn,
    such as a URL to go back to."""
    headers: tuple[str, ...] = ()
    """Request header fields to write with each access line; credentials are redacted."""
    redact_headers: tuple[str, ...] = ()
    """Header fields whose values are never written, besides those with names of secrets, such as
    Authorization, Cookie, or whatever ends in `token` or `key`."""


class Tracing(Settings):
    """Spans of requests, sent by OTLP to a collector of OpenTelemetry or whatever speaks it.

    Trace IDs are in logs and responses also without it. Spans wait in a bounded queue and
    are sent from a thread of their own: a collector that is slow or gone costs spans, which
    are counted, and never a request.
    """

    endpoint: str
    """The collector: `http://HOST:4318` for `http`, `http://HOST:4317` for `grpc`; or https.
    For `http` the path is `/v1/traces` unless another is given."""
    protocol: Literal["http", "grpc"] = "http"
    """OTLP over HTTP (protobuf), or over gRPC."""
    headers: dict[str, str] = {}
    """Fields, or metadata for `grpc`, to send along, such as credentials; `!file` keeps them
    out of the configuration."""
    ca_file: str | None = None
    """PEM file of authorities to trust instead of the system's, for https."""
    compression: Literal["none", "gzip"] = "gzip"
    """How batches are compressed."""
    service: str = Field(default="sidegate", min_length=1, max_length=255)
    """The `service.name` that spans are shown under."""
    ratio: float = Field(default=0.01, ge=0.0, le=1.0)
    """Share of the traces starting here that are recorded, from 0 to 1; traces that a trusted
    caller began are recorded if the caller records them."""
    errors: bool = True
    """Record requests that failed (500 and above, or broken off) all the same. The services
    behind weren't told, so such a trace has Sidegate's spans only."""
    slow: Duration = 1.0
    """Record requests that took so long all the same."""
    timeout: Duration = Field(default=10.0, gt=0)
    """How long sending a batch may take, with repetitions; then the batch is lost."""
    queue: int = Field(default=4096, ge=64, le=65536)
    """Most spans that wait to be sent; further ones are lost, and counted."""

    @field_validator("endpoint")
    @classmethod
    def _url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
            parts = urlsplit("")
        if not usable:
            raise ValueError("write http://HOST:PORT or https://HOST:PORT, of an OTLP receiver")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("only a host, a port and a path belong here; see `headers`")
        return value


class Telemetry(Settings):
    """What the proxy tells about itself."""

    log: Logging = Logging()
    tracing: Tracing | None = None
    """Spans; absent: none are recorded."""
