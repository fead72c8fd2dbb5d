"""Recording rules: what an operator steers by, computed once and kept. Pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from proxy.observability.query import level, quantile, rate, ratio
from proxy.telemetry.catalogue import (
    DURATION,
    OVERHEAD,
    POOL_CAPACITY,
    POOL_CONNECTIONS,
    REQUESTS,
    UPSTREAM_DURATION,
)
from proxy.telemetry.features import CACHE_REQUESTS

HIT: Final = "~hit|stale"
"""Outcomes of the cache that ask no service before they answer."""
FAILED: Final = "~5.."
"""Responses that count against the objective: of 500 and above."""

_ROUTE: Final = ("job", "route")
_PLACE: Final = ("job", "upstream", "endpoint")


class Recording(NamedTuple):
    """A rule: the name of the series that it makes, and their expression."""

    name: str
    expression: str

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"record": self.name, "expr": self.expression}


def _error_ratio(window: str) -> Recording:
    failed = rate(REQUESTS, window, _ROUTE, code=FAILED)
    return Recording(
        f"sidegate:request_errors:ratio_rate{window}", ratio(failed, rate(REQUESTS, window, _ROUTE))
    )


REQUEST_RATE: Final = Recording("sidegate:requests:rate5m", rate(REQUESTS, "5m", _ROUTE))
ERROR_RATIOS: Final = {window: _error_ratio(window) for window in ("5m", "30m", "1h", "6h")}
"""Share of requests that failed, by job and route, over windows for burn rates."""
LATENCIES: Final = {
    name: Recording(
        f"sidegate:request_duration_seconds:{name}_rate5m", quantile(share, DURATION, "5m", _ROUTE)
    )
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
}
OVERHEAD_P95: Final = Recording(
    "sidegate:request_overhead_seconds:p95_rate5m", quantile(0.95, OVERHEAD, "5m", _ROUTE)
)
UPSTREAM_P95: Final = Recording(
    "sidegate:upstream_duration_seconds:p95_rate5m",
    quantile(0.95, UPSTREAM_DURATION, "5m", ("job", "upstream")),
)
POOL_USE: Final = Recording(
    "sidegate:upstream_pool_use:ratio",
    f"{level(POOL_CONNECTIONS, _PLACE, state='in_use')} / {level(POOL_CAPACITY, _PLACE)}",
)

CACHE_HITS: Final = Recording(
    "sidegate:cache_hit:ratio_rate5m",
    ratio(rate(CACHE_REQUESTS, "5m", _ROUTE, outcome=HIT), rate(CACHE_REQUESTS, "5m", _ROUTE)),
)

RECORDINGS: Final = (
    REQUEST_RATE, *ERROR_RATIOS.values(), *LATENCIES.values(), OVERHEAD_P95, UPSTREAM_P95, POOL_USE,
    CACHE_HITS,
)  # fmt: skip
"""All of them."""
