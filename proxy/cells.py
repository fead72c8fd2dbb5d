"""Plain cells that count on the hot path and are read when somebody scrapes.

One increment costs an attribute store; locks and label look-ups are left to the reader.
Cells are written by one event loop only.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

# The buckets of OpenTelemetry's HTTP metrics, in seconds.
DURATION_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip


class Histogram:
    """Counts of observations by upper bound, and their sum.

    bounds: ascending upper bounds, without infinity. counts: one count a bucket, not
    cumulative, the last for everything above.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = DURATION_BUCKETS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def merge(self, other: Histogram) -> None:
        """Add the observations of another histogram. Raises ValueError for other bounds."""
        if other.bounds != self.bounds:
            raise ValueError("histograms of different bounds can't be added")
        self.counts = [
            mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)
        ]
        self.total += other.total

    def cumulative(self) -> list[tuple[str, int]]:
        """`(upper bound as text, count of observations up to it)`, ending with `+Inf`."""
        rows: list[tuple[str, int]] = []
        running = 0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            running += count
            rows.append((repr(bound), running))
        rows.append(("+Inf", running + self.counts[-1]))
        return rows


class Count:
    """A monotonic count."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Add to the count. Raises ValueError for a negative amount."""
        if amount < 0:
            raise ValueError("a count can't go down")
        self.value += amount


class Tally:
    """Counts by key, of a bounded number of keys; further ones share `other`."""

    __slots__ = ("_limit", "_other", "counts")

    def __init__(self, limit: int, other: tuple[str, ...]) -> None:
        self._limit = limit
        self._other = other
        self.counts: dict[tuple[str, ...], int] = {}

    def count(self, *key: str) -> None:
        """Count one of this key."""
        counts = self.counts
        if key not in counts and len(counts) >= self._limit:
            key = self._other
        counts[key] = counts.get(key, 0) + 1


class Traffic:
    """Counts of a worker's client connections, read by the metrics."""

    __slots__ = ("accepted", "closed", "in_flight", "open")

    def __init__(self) -> None:
        self.open = 0
        self.accepted = 0
        self.in_flight = 0
        self.closed: dict[str, int] = {}
