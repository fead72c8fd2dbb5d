"""What Redis runs: one script decides about all quotas of a key, all or nothing.

May live here: the scripts, their arguments, how their answers are read. Must not live here:
connections, or what becomes of a question without an answer. The rules are those of
`store.counting`, with the clock of Redis for everybody; tests hold the two against each other.

    KEYS        one for each quota
    ARGV        what to do, cost, how much more of it to lease, worker, then for each quota:
                algorithm, limit, period in microseconds, burst, `at` of what is given back
    answer      time, granted, then for each quota: admitted, remaining, microseconds to wait
                (-1 for ever), microseconds until it is full

What to do: `take`, `look`, `charge`, `give`, `hold` (say how many requests of this worker are
in flight), or `lease`, which takes the cost and as much more as there is, up to what was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

from proxy.limits import Algorithm, Quota, Reading, Verdict
from proxy.store.counting import PARTS
from proxy.store.redis.inquiry import Source, read_lua

HELD_SECONDS: Final = 30
"""How long a place in flight outlives the worker that held it and says so no more."""


class Script(Source):
    """The script for quotas of some algorithms."""

    def __init__(self, algorithms: Sequence[Algorithm]) -> None:
        constants = f"local parts, held_seconds = {PARTS}, {HELD_SECONDS}\n"
        names = ("begin", *sorted(set(algorithms)), "decide")
        super().__init__(constants + "\n".join(map(read_lua, names)))


def describe(quota: Quota) -> tuple[bytes, ...]:
    """The arguments of a quota, but for `at`."""
    period = round(quota.period * 1e6)
    return quota.algorithm.encode(), b"%d" % quota.limit, b"%d" % period, b"%d" % quota.burst


def read_answer(answer: Sequence[int]) -> Reading:
    """The verdicts that an answer holds."""
    at = answer[0]
    return tuple(
        [
            Verdict(
                bool(answer[index]),
                answer[index + 1],
                inf if answer[index + 2] < 0 else answer[index + 2] / 1e6,
                answer[index + 3] / 1e6,
                at,
            )
            for index in range(2, len(answer), 4)
        ]
    )
