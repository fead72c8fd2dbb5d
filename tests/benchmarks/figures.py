"""What is measured of a proxy in one round, and medians over rounds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final, TypeVar

# From this share of the load's core on, the load and not the proxy sets the pace.
FULL: Final = 0.95

# Below this share of both cores, something else on the machine took what they lack.
DISTURBED: Final = 0.85


@dataclass(frozen=True, slots=True)
class Sample:
    """As many requests as the proxy could answer.

    rps: requests a second. p50, p99: latency in milliseconds. cpu: microseconds of the
    proxy's CPU time for each request; system: those of them that the kernel used. rss: resident
    bytes at the end of the round. used: share of its core that the proxy used, 0 to 1. busy:
    share of the load's core that load and origin used.
    """

    rps: float
    p50: float
    p99: float
    cpu: float
    system: float
    rss: float
    used: float
    busy: float

    def __str__(self) -> str:
        return (
            f"{self.rps:9,.0f} requests/s  p99 {self.p99:7.2f} ms  CPU {self.cpu:8.1f} µs/request"
        )

    @property
    def paced_by_load(self) -> bool:
        """The load had no core left to ask for more."""
        return self.busy >= FULL

    @property
    def disturbed(self) -> bool:
        """Neither the proxy nor the load was at its limit."""
        return max(self.used, self.busy) < DISTURBED


@dataclass(frozen=True, slots=True)
class Paced:
    """As many requests as were meant, at times that don't depend on the answers.

    rate: requests a second that were sent. p50, p99: milliseconds from when a request was due
    until its answer was here. late: milliseconds, p99, from when it was due until it was sent,
    which is the load's own part of that. cpu: microseconds of the proxy for each request.
    """

    rate: float
    p50: float
    p99: float
    late: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.rate:9,.0f} requests/s  p50 {self.p50:7.2f} ms  p99 {self.p99:7.2f} ms"


@dataclass(frozen=True, slots=True)
class Alone:
    """One request after another over one connection: the median latency in microseconds."""

    p50: float

    def __str__(self) -> str:
        return f"{self.p50:9,.0f} µs"


@dataclass(frozen=True, slots=True)
class Crowd:
    """Clients that asked once and stay connected.

    before, after: resident bytes, without and with them. count: how many there are.
    """

    before: float
    after: float
    count: float

    def __str__(self) -> str:
        return f"{self.after / 2**20:9,.1f} MiB, {self.taken / self.count / 1024:.2f} KiB a client"

    @property
    def taken(self) -> float:
        """Bytes that they take."""
        return self.after - self.before


Figures = TypeVar("Figures", Sample, Paced, Alone, Crowd)


def medians(rounds: Sequence[Figures]) -> Figures:
    """Each figure's median."""
    rows = [asdict(one) for one in rounds]
    return type(rounds[0])(**{name: median(row[name] for row in rows) for name in rows[0]})
