"""Metrics that single features open for themselves.

May live here: what those metrics promise. A feature that opens one of them otherwise fails at
once (`Metrics`), and a test holds the names against those in the sources; so nothing can be
drawn that isn't counted, and nothing is counted that the list of metrics doesn't have.
"""

from __future__ import annotations

from typing import Final

from proxy.telemetry.catalogue import Family

_PLACE: Final = ("endpoint", "upstream")


def _store(name: str, stem: str) -> tuple[Family, ...]:
    """What is told of a store that several instances share."""
    return (
        Family(
            f"{stem}_up",
            "gauge",
            f"1 while all servers of the {name} can be asked, 0 while one can't.",
            merge="min",
        ),
        Family(
            f"{stem}_changes",
            "counter",
            f"Servers of the {name} that became able or unable to answer.",
            ("state",),
        ),
        Family(
            f"{stem}_failures",
            "counter",
            f"Questions to the {name} that got no answer of use, or were not put while its "
            "circuit was open.",
            ("reason",),
        ),
    )


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
    "sidegate_retries",
    "counter",
    "Requests that the policy retry sent once more, by cause.",
    ("reason", "upstream"),
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

_MORE: Final = (
    Family(
        "sidegate_upstream_breaker_opened", "counter", "How often a circuit breaker opened.", _PLACE
    ),
    Family(
        "sidegate_upstream_discoveries",
        "counter",
        "Looks for endpoints by DNS or in a file.",
        ("result", "upstream"),
    ),
    Family(
        "sidegate_upstream_concurrency_limit",
        "gauge",
        "Requests that may be under way to a service.",
        ("upstream",),
    ),
    Family(
        "sidegate_upstream_concurrency_under_way",
        "gauge",
        "Requests under way to a service with a limit.",
        ("upstream",),
    ),
    Family(
        "sidegate_upstream_concurrency_waiting",
        "gauge",
        "Requests that wait for a place.",
        ("upstream",),
    ),
    Family(
        "sidegate_upstream_shed",
        "counter",
        "Requests turned away because a service has enough to do, by why and class.",
        ("priority", "reason", "upstream"),
    ),
    Family(
        "sidegate_retries_denied",
        "counter",
        "Failures that could have been retried and weren't, by what stood against it.",
        ("reason", "upstream"),
    ),
    Family(
        "sidegate_hedges",
        "counter",
        "Second tries beside a slow first one, by which of them answered first.",
        ("upstream", "winner"),
    ),
    Family(
        "sidegate_mirrored",
        "counter",
        "Copies of requests, by the class of status of the answer and of the copy's.",
        ("mirrored", "status", "upstream"),
    ),
    Family(
        "sidegate_mirror_skipped",
        "counter",
        "Copies that weren't sent because too many were under way.",
        ("upstream",),
    ),
    Family("sidegate_cache_objects", "gauge", "Objects in the cache's memory."),
    Family(
        "sidegate_cache_removals",
        "counter",
        "Objects that left the cache's memory, by why.",
        ("reason",),
    ),
    Family("sidegate_cache_stores", "counter", "Responses that were stored.", ("route",)),
    Family(
        "sidegate_cache_stored_bytes", "counter", "Bytes of bodies that were stored.", ("route",)
    ),
    Family(
        "sidegate_cache_shadow_requests",
        "counter",
        "Requests that a cache policy in shadow mode saw, by what would have been.",
        ("outcome", "route"),
    ),
    Family(
        "sidegate_cache_shadow_wrong",
        "counter",
        "Responses of another body than the one that the cache would have served.",
        ("route",),
    ),
    Family(
        "sidegate_cache_warmed",
        "counter",
        "Pages that were asked for before any client did, by what came of it.",
        ("outcome",),
    ),
    Family(
        "sidegate_cache_store_lookups",
        "counter",
        "Responses that were looked for in the store of all instances.",
        ("outcome", "route"),
    ),
    Family(
        "sidegate_cache_store_writes",
        "counter",
        "Responses that were written to the store of all instances.",
        ("route",),
    ),
    *_store("cache store", "sidegate_cache_store"),
    Family(
        "sidegate_rate_limit_exceeded",
        "counter",
        "Requests that were beyond a limit, by the one with the longest wait.",
        ("limit", "policy"),
    ),
    Family(
        "sidegate_rate_limit_overshoot_max",
        "gauge",
        "Most units that a leased limit admits beyond itself in any stretch of time: one lease "
        "for each worker.",
        ("limit", "policy"),
    ),
    Family(
        "sidegate_rate_limit_keys_evicted",
        "counter",
        "Keys that the memory of limits forgot before their time, as there were too many.",
    ),
    Family(
        "sidegate_rate_limit_locks_jammed",
        "counter",
        "Questions to the memory of limits that found it locked by a worker that stood still.",
    ),
    *_store("limit store", "sidegate_rate_limit_store"),
    Family(
        "sidegate_sanitized_values",
        "counter",
        "Values that were cleaned, or would have been, by what was done to them.",
        ("change", "route"),
    ),
    Family(
        "sidegate_shield_matches",
        "counter",
        "Requests in which the shield found an attack, in shadow mode too.",
        ("family", "route"),
    ),
    Family(
        "sidegate_invalid_responses",
        "counter",
        "Responses that aren't as their OpenAPI document says.",
        ("route",),
    ),
    Family(
        "sidegate_shadow_failures",
        "counter",
        "Exceptions of policies in shadow mode, which traffic didn't see.",
        ("policy",),
    ),
    Family(
        "sidegate_connections_refused",
        "counter",
        "Connections that ended before HTTP, by a failed handshake or a bad PROXY header.",
    ),
)
"""Those that no dashboard or alert speaks of."""

FEATURES: Final = (
    ENDPOINT_UP, PANIC, HEALTH_CHECKS, EJECTIONS, BREAKER, REPEATS, CACHE_REQUESTS, CACHE_BYTES,
    CACHE_LIMIT, CACHE_SAVED, LIMITED, UNCHECKED, CERTIFICATE_EXPIRY, SPANS, WORKER_RESTARTS,
    *_MORE,
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
