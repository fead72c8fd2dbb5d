"""What the cache counts, with labels bound beforehand. Names follow CONVENTIONS."""

from __future__ import annotations

from typing import Final

from proxy.contract import Counter, Metrics

OUTCOMES: Final = ("hit", "stale", "revalidated", "shared", "miss", "bypass")
"""What becomes of a request: answered by a stored response; by one past its time; by one
that the service said still holds; by what another request had fetched; by the service; or
it was none of the cache's business."""


class Counts:
    """The counters of one route."""

    __slots__ = ("_bytes", "_outcomes", "_stores", "hit", "saved")

    def __init__(self, metrics: Metrics, route: str) -> None:
        self._outcomes: dict[str, Counter] = {
            outcome: metrics.counter(
                "sidegate_cache_requests_total",
                "Requests that a cache policy saw, by what became of them.",
                route=route,
                outcome=outcome,
            )
            for outcome in OUTCOMES
        }
        self._stores = metrics.counter(
            "sidegate_cache_stores_total", "Responses that were stored.", route=route
        )
        self._bytes = metrics.counter(
            "sidegate_cache_stored_bytes_total", "Bytes of bodies that were stored.", route=route
        )
        self.hit = self._outcomes["hit"].inc
        self.saved = metrics.counter(
            "sidegate_cache_saved_seconds_total",
            "Time that fetching would have taken once more, for each answer from the cache.",
            route=route,
        ).inc

    def count(self, outcome: str) -> None:
        """Count a request by one of `OUTCOMES`."""
        self._outcomes[outcome].inc()

    def stored(self, size: int) -> None:
        """Count a response that was stored, of so many bytes."""
        self._stores.inc()
        self._bytes.inc(size)
