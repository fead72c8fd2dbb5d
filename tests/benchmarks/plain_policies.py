"""What Sidegate does by default, as a team writes it for an aiohttp service of its own.

Request IDs, forwarding fields, security headers, a rate limit for each client, one form of
errors, metrics and a JSON access line, with the libraries that are used for them: middlewares
of aiohttp, prometheus-client, structlog as its documentation has it for speed. Where there is a
choice it is the faster one; for the rest it is to be read like any service's code.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import orjson
import structlog
from aiohttp import ClientError, web
from aiohttp.abc import AbstractAccessLogger
from prometheus_client import Counter, Gauge, Histogram

from proxy.cells import DURATION_BUCKETS
from tests.benchmarks.answer import SECURITY_HEADERS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ID: Final = web.RequestKey("id", str)
SENT: Final = web.RequestKey("sent", Iterable[tuple[str, str]])
"""Fields that go upstream with the client's own."""
TOLD: Final = web.RequestKey("told", str)
"""What the limit leaves to the client."""
UPSTREAM_TIME: Final = web.RequestKey("upstream_time", float)

KEYS_MAX: Final = 100_000
"""Clients that a limit remembers."""
_ROUTE: Final = "default"
_VIA: Final = "1.1 aiohttp"
# Labels must not hold what a client made up.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

IN_FLIGHT: Final = Gauge("http_requests_in_flight", "Requests that are not answered yet.")
REQUESTS: Final = Counter(
    "http_requests", "Requests that were answered.", ("method", "route", "status")
)
SECONDS: Final = Histogram(
    "http_request_duration_seconds", "Until the answer was sent.", ("route",),
    buckets=DURATION_BUCKETS,
).labels(_ROUTE)  # fmt: skip
RECEIVED: Final = Counter("http_request_bytes", "Bytes of bodies.", ("route",)).labels(_ROUTE)
ANSWERED: Final = Counter("http_response_bytes", "Bytes of bodies.", ("route",)).labels(_ROUTE)

structlog.configure(
    processors=[
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(serializer=orjson.dumps),
    ],
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    logger_factory=structlog.BytesLoggerFactory(),
    cache_logger_on_first_use=True,
)


class Limit:
    """So many requests in so many seconds for each client, by GCRA."""

    def __init__(self, most: int, seconds: int) -> None:
        self._seconds = seconds
        self._interval = seconds / most
        # When each client will have been quiet for long enough to be forgotten.
        self._times: dict[str, float] = {}
        self.policy = f'"default";q={most};w={seconds}'

    def take(self, client: str, now: float) -> tuple[float, int, int]:
        """Count a request. How many seconds it is too early, or 0; how many more may come; and
        seconds until all may come again."""
        due = max(self._times.get(client, now), now)
        room = self._seconds - self._interval - (due - now)
        if room < 0:
            return -room, 0, math.ceil(due - now)
        if len(self._times) >= KEYS_MAX and client not in self._times:
            self._forget(now)
        self._times[client] = due = due + self._interval
        return 0.0, int(room / self._interval), math.ceil(due - now)

    def _forget(self, now: float) -> None:
        self._times = {client: due for client, due in self._times.items() if due > now}


class Policies:
    """What the application does beside forwarding."""

    owned: Final = frozenset({
        "x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
        "x-forwarded-port", "forwarded",
    })  # fmt: skip
    """Fields of requests that the proxy writes itself."""
    hidden: Final = frozenset({"server", "x-powered-by"})
    """Fields of answers that nobody need know."""

    def __init__(self, port: int, most: int, seconds: int) -> None:
        self._port = str(port)
        self._limit = Limit(most, seconds)
        self.middlewares = (self.identify, self.limit, self.envelop)

    @web.middleware
    async def identify(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Give the request an ID, which the service gets as well."""
        request[ID] = identifier = uuid4().hex
        request[SENT] = (
            ("X-Request-ID", identifier),
            ("X-Forwarded-For", request.remote or ""),
            ("X-Forwarded-Proto", request.scheme),
            ("X-Forwarded-Host", request.host),
            ("X-Forwarded-Port", self._port),
            ("Via", _VIA),
        )
        IN_FLIGHT.inc()
        try:
            return await handler(request)
        finally:
            IN_FLIGHT.dec()

    @web.middleware
    async def limit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what a client asks too much."""
        wait, left, reset = self._limit.take(request.remote or "", time.monotonic())
        request[TOLD] = f'"default";r={left};t={reset}'
        if not wait:
            return await handler(request)
        response = error(request, 429, "rate_limited", "Too many requests.")
        response.headers["Retry-After"] = str(math.ceil(wait))
        return response

    @web.middleware
    async def envelop(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Give all errors one form."""
        began = time.perf_counter()
        try:
            response = await handler(request)
        except web.HTTPException as failure:
            return error(request, failure.status, "refused", failure.reason)
        except ClientError:
            return error(request, 502, "upstream_failed", "The service can't be reached.")
        except TimeoutError:
            return error(request, 504, "upstream_timeout", "The service took too long.")
        finally:
            request[UPSTREAM_TIME] = time.perf_counter() - began
        if response.status >= 500 and not response.content_type.endswith("json"):
            return error(request, response.status, "upstream_error", "The service failed.")
        return response

    async def protect(self, request: web.Request, response: web.StreamResponse) -> None:
        """Fields of all answers."""
        headers = response.headers
        headers.update(SECURITY_HEADERS)
        headers["X-Request-ID"] = request[ID]
        headers["RateLimit"] = request[TOLD]
        headers["RateLimit-Policy"] = self._limit.policy
        headers.add("Via", _VIA)
        # aiohttp's own.
        headers.pop("Server", None)


def error(request: web.Request, status: int, code: str, detail: str) -> web.Response:
    """The one form of errors."""
    body = {
        "error": code,
        "detail": detail,
        "status": status,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "path": request.rel_url.raw_path,
        "request_id": request[ID],
    }
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


class AccessLines(AbstractAccessLogger):
    """Counts and logs each request once its answer is sent, which aiohttp tells."""

    def __init__(self, logger: logging.Logger, log_format: str) -> None:
        super().__init__(logger, log_format)
        self._log = structlog.get_logger().bind()
        self._requests: dict[tuple[str, int], Counter] = {}

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """time: seconds."""
        status, sent = response.status, response.body_length
        received = request.content_length or 0
        self._count(request.method, status)
        SECONDS.observe(time)
        RECEIVED.inc(received)
        ANSWERED.inc(sent)
        url = request.rel_url
        self._log.info(
            "request",
            request_id=request.get(ID, ""),
            client_ip=request.remote,
            method=request.method,
            host=request.host,
            path=url.raw_path,
            query=url.raw_query_string,
            protocol=f"HTTP/{request.version.major}.{request.version.minor}",
            route=_ROUTE,
            upstream="origin",
            status=status,
            bytes_in=received,
            bytes_out=sent,
            upstream_time=round(request.get(UPSTREAM_TIME, 0.0), 6),
            total=round(time, 6),
            user_agent=request.headers.get("User-Agent", ""),
        )

    def _count(self, method: str, status: int) -> None:
        counter = self._requests.get((method, status))
        if counter is None:
            name = method if method in _METHODS else "_OTHER"
            counter = REQUESTS.labels(name, _ROUTE, str(status))
            self._requests[method, status] = counter
        counter.inc()
