"""What Sidegate is to reach, beside other proxies and by itself, and whether it does. Pure.

Where a ratio can be taken in two ways the one that says less for Sidegate counts. Throughput:
by requests a second and by CPU time for each, since a proxy that the load doesn't fill could
have answered more than it was asked, and one that waits uses less of its core than it might;
where the load's core is full, CPU time alone tells proxies apart. Memory: what idle clients add,
and all that there is with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from tests.benchmarks.figures import Crowd, Paced, Sample, medians
from tests.benchmarks.record import Record

OWN: Final = "Sidegate"
ORIGIN: Final = "no proxy"
"""The origin asked directly, among the proxies."""
BASES: Final = ("Envoy", "nginx", "plain aiohttp")
P99: Final = "p99 at half of its own peak"
ALONE: Final = "added latency, 1 connection"
CROWD: Final = "memory, 5,000 idle connections"
_AT_MOST: Final = (P99, ALONE, CROWD)


class Goal(NamedTuple):
    """A ratio of Sidegate's figure to another proxy's that is to be reached.

    bound: at least of throughput, at most of the rest. first: what was to be reached before
    that, where there was such a goal.
    """

    subject: str
    base: str
    bound: float
    first: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a goal. ratio: None where it wasn't measured."""

    goal: Goal
    ratio: float | None

    @property
    def at_most(self) -> bool:
        """Less is better."""
        return self.goal.subject in _AT_MOST

    @property
    def reached(self) -> bool:
        """It was measured, and is as it is to be."""
        return self.within(self.goal.bound)

    def within(self, bound: float) -> bool:
        """It was measured, and this is reached."""
        if self.ratio is None:
            return False
        return self.ratio <= bound if self.at_most else self.ratio >= bound


_THROUGHPUT: Final[dict[str, tuple[float | None, float | None, float | None]]] = {
    "small GET": (1.2, 0.6, 4.0),
    "GET of a browser": (1.1, 0.5, 4.0),
    "POST of 10 KiB": (1.1, 0.6, 3.0),
    "download of 100 KiB": (1.0, 0.6, 2.0),
    "download of 10 MiB": (1.0, 0.6, 2.0),
    "refusal, 429": (1.0, 0.6, None),
    "answer from the cache": (None, 0.8, None),
}
_FIRST: Final = {("small GET", "Envoy"): 0.9, ("small GET", "plain aiohttp"): 3.5}
GOALS: Final = (
    *(
        Goal(subject, base, bound, _FIRST.get((subject, base)))
        for subject, bounds in _THROUGHPUT.items()
        for base, bound in zip(BASES, bounds, strict=True)
        if bound is not None
    ),
    Goal(P99, "Envoy", 1.5),
    Goal(ALONE, "Envoy", 1.2),
    Goal(CROWD, "Envoy", 1.0),
)
LOOKING: Final = "looking at a request"
LIMIT: Final = "a limit in memory"
BUDGETS: Final[dict[str, dict[str, float]]] = {
    LOOKING: {"shield, bare GET": 15.0, "shield, 1 KiB of JSON": 150.0},
    LIMIT: {"one worker": 3.0},
}
"""Microseconds of CPU that rows of tables of costs may take at most."""


def verdicts(record: Record) -> list[Verdict]:
    """What came of each goal."""
    return [Verdict(goal, _ratio(record, goal.subject, goal.base)) for goal in GOALS]


def _ratio(record: Record, subject: str, base: str) -> float | None:
    if subject == P99:
        return _p99_ratio(record.paced, base)
    if subject == ALONE:
        return added_ratio(record, base)
    if subject == CROWD:
        return _crowd_ratio(record.crowd, base)
    rounds = record.throughput.get(subject, {})
    if not {OWN, base} <= rounds.keys():
        return None
    return throughput_ratio(rounds[OWN], rounds[base])


def throughput_ratio(own: Sequence[Sample], other: Sequence[Sample]) -> float:
    """How much more one serves than the other: the median over rounds, each of which measured
    both."""
    by_cpu = cpu_ratio(own, other)
    if medians(own).paced_by_load:
        return by_cpu
    return min(by_cpu, rate_ratio(own, other))


def cpu_ratio(own: Sequence[Sample], other: Sequence[Sample]) -> float:
    """The same by CPU time alone."""
    return median(b.cpu / a.cpu for a, b in zip(own, other, strict=True))


def rate_ratio(own: Sequence[Sample], other: Sequence[Sample]) -> float:
    """The same by requests a second alone."""
    return median(a.rps / b.rps for a, b in zip(own, other, strict=True))


def added(record: Record, name: str) -> float | None:
    """Microseconds that a proxy adds to the origin's own latency."""
    rounds = record.alone
    if not {name, ORIGIN} <= rounds.keys():
        return None
    return median(
        one.p50 - direct.p50 for one, direct in zip(rounds[name], rounds[ORIGIN], strict=True)
    )


def added_ratio(record: Record, base: str) -> float | None:
    """What Sidegate adds as a multiple of what another proxy adds."""
    own, other = added(record, OWN), added(record, base)
    return own / other if own is not None and other else None


def _p99_ratio(rounds: Mapping[str, Sequence[Paced]], base: str) -> float | None:
    if not {OWN, base} <= rounds.keys():
        return None
    return medians(rounds[OWN]).p99 / medians(rounds[base]).p99


def _crowd_ratio(rounds: Mapping[str, Sequence[Crowd]], base: str) -> float | None:
    if not {OWN, base} <= rounds.keys():
        return None
    own, other = medians(rounds[OWN]), medians(rounds[base])
    return max(own.after / other.after, own.taken / other.taken)
