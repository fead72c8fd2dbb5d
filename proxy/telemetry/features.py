"""Metrics that single features open for themselves, as far as dashboards and alerts speak of them.

May live here: what those metrics promise. A feature that opens one of them otherwise fails at
once (`Metrics`), and a test looks for each name in the sources; so nothing can be drawn that
isn't counted.
"""

from __future__ import annotations

from typing import Final

from proxy.telemetry.catalogue import Family

_PLACE: Final = ("endpoint", "upstream")

ENDPOINT_UP: Final = Family(
    "sidegate_upstream_endpoint_up",
    "gauge",
    "Whether an endpoint is used: 1, or 0 while it is unhealthy or ejected.",
    _PLACE,
    merge="min",
)
PANIC: Final = Family(
    "sidegate_upstream_panic",
    "gauge",
    "Whether all endpoints are used because too few are usable.",
    ("upstream",),
    merge="max",
)
HEALTH_CHECKS: Final = Family(
    "sidegate_upstream_health_checks",
    "counter",
    "Active checks of endpoints.",
    ("endpoint", "result", "upstream"),
)
EJECTIONS: Final = Family(
    "sidegate_upstream_ejections",
    "counter",
    "Endpoints taken out of use for a while, by what gave them away.",
    ("endpoint", "reason", "upstream"),
)
BREAKER: Final = Family(
    "sidegate_upstream_breaker_open",
    "gauge",
    "State of a circuit breaker: 0 closed, 0.5 half open, 1 open.",
    _PLACE,
    merge="max",
)
REPEATS: Final = Family(
    "sidegate_retries", "counter", "Requests sent once more, by cause.", ("reason", "upstream")
)
CACHE_REQUESTS: Final = Family(
    "sidegate_cache_requests",
    "counter",
    "Requests that a cache policy saw, by what became of them.",
    ("outcome", "route"),
)
CACHE_BYTES: Final = Family("sidegate_cache_bytes", "gauge", "Bytes in the cache's memory.")
CACHE_LIMIT: Final = Family(
    "sidegate_cache_limit_bytes", "gauge", "Most bytes in the cache's memory."
)
CACHE_SAVED: Final = Family(
    "sidegate_cache_saved_seconds",
    "counter",
    "Time that fetching would have taken once more, for each answer from the cache.",
    ("route",),
)
LIMITED: Final = Family(
    "sidegate_rate_limit_requests",
    "counter",
    "Requests that a rate limit decided about.",
    ("outcome", "policy"),
)
UNCHECKED: Final = Family(
    "sidegate_rate_limit_unchecked",
    "counter",
    "Requests whose limits were not asked of the store, since it failed.",
    ("instead", "policy"),
)
CERTIFICATE_EXPIRY: Final = Family(
    "sidegate_tls_certificate_expiry_timestamp_seconds",
    "gauge",
    "When a certificate of the listeners expires, in seconds since 1970.",
    ("certificate",),
    merge="min",
)
SPANS: Final = Family(
    "sidegate_spans", "counter", "Spans of traces, by what became of them.", ("outcome",)
)
WORKER_RESTARTS: Final = Family(
    "sidegate_worker_restarts", "counter", "Workers that ended and were replaced."
)

FEATURES: Final = (
    ENDPOINT_UP, PANIC, HEALTH_CHECKS, EJECTIONS, BREAKER, REPEATS, CACHE_REQUESTS, CACHE_BYTES,
    CACHE_LIMIT, CACHE_SAVED, LIMITED, UNCHECKED, CERTIFICATE_EXPIRY, SPANS, WORKER_RESTARTS,
)  # fmt: skip
"""All of them."""

PROCESS_CPU: Final = Family(
    "process_cpu_seconds", "counter", "CPU time of all workers, by prometheus-client's name."
)
PROCESS_MEMORY: Final = Family(
    "process_resident_memory_bytes",
    "gauge",
    "Resident memory of all workers, by prometheus-client's name.",
)
