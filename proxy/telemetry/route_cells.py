"""What is counted for each request, by route: the part of the metrics that is hot.

May live here: cells that one event loop writes. Nothing here allocates but for a label
that was never seen before, and labels are bounded: a method or a status that somebody made
up counts as `_OTHER`.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from proxy.cells import DURATION_BUCKETS, Histogram

OTHER: Final = "_OTHER"
# RFC 9110, 9.3, and RFC 5789; a label must not hold what a client made up.
METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"}
)
# Sidegate's own share of a request is far below the buckets for whole requests, in seconds.
OVERHEAD_BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
)  # fmt: skip
_CODES_MAX: Final = 256


class RouteCells:
    """What is counted for one route; `finished` costs 0.4 µs.

    codes: requests by status, under each method. exemplars: for each bucket of `seconds`,
    the ID and duration of the request that it counted last. sent, received: bytes.
    """

    __slots__ = ("_size", "codes", "exemplars", "overhead", "received", "seconds", "sent")

    def __init__(self) -> None:
        self.codes: dict[str, dict[int, int]] = {}
        self.seconds = Histogram(DURATION_BUCKETS)
        self.exemplars: list[tuple[str, float] | None] = [None] * len(self.seconds.counts)
        self.overhead = Histogram(OVERHEAD_BUCKETS)
        self.sent = 0
        self.received = 0
        self._size = 0

    def finished(
        self,
        status: int,
        method: str,
        seconds: float,
        overhead_seconds: float,
        sent: int,
        received: int,
        request_id: str,
    ) -> None:
        """Count one request. status: 0 when nothing was sent."""
        try:
            self.codes[method][status] += 1
        except KeyError:
            self._learn(method, status)
        histogram = self.seconds
        place = bisect_left(DURATION_BUCKETS, seconds)
        histogram.counts[place] += 1
        histogram.total += seconds
        if request_id:
            self.exemplars[place] = (request_id, seconds)
        histogram = self.overhead
        histogram.counts[bisect_left(OVERHEAD_BUCKETS, overhead_seconds)] += 1
        histogram.total += overhead_seconds
        self.sent += sent
        self.received += received

    def _learn(self, method: str, status: int) -> None:
        codes = self.codes.setdefault(method if method in METHODS else OTHER, {})
        if status not in codes:
            # An upstream can make up statuses as a client can make up methods; -1 is `_OTHER`.
            if self._size >= _CODES_MAX:
                status = -1
            self._size += 1
        codes[status] = codes.get(status, 0) + 1
