"""What one limit says, as values that can be counted with. Pure.

May live here: how a limit is read, which of its settings go together, and the sentences and
descriptions that clients get. Must not live here: requests, keys, counting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from proxy.config.units import Rate, show_duration, show_size
from proxy.http1.quota_fields import QuotaPolicy, Unit, describe_bucket, describe_window
from proxy.limits import Algorithm, Quota

IN_FLIGHT_MAX: Final = 60_000
COST_MAX: Final = 1_000_000_000

_PERIODS: Final = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}
_STATUS: Final = re.compile(r"([1-5])xx|([1-5][0-9]{2})(?:\s?-\s?([1-5][0-9]{2}))?")


class Rule(NamedTuple):
    """One limit.

    key: the parts of its key. cost: a number, or what it is read from. statuses: those that
    count, None for all. detail: what a refused client is told.
    """

    name: str
    quota: Quota
    unit: Unit
    key: tuple[str, ...]
    cost: int | str
    statuses: frozenset[int] | None
    detail: str

    @property
    def settled_later(self) -> bool:
        """Whether what it takes is known only with the response."""
        return isinstance(self.cost, str) and self.cost.startswith("response")

    def described(self) -> QuotaPolicy:
        """As clients are told of it."""
        quota = self.quota
        match quota.algorithm:
            case "concurrency":
                return QuotaPolicy(self.name, quota.limit, 0, self.unit)
            case "gcra":
                full = quota.burst * quota.period / quota.limit
                return describe_bucket(self.name, quota.burst, full, self.unit)
            case _:
                return describe_window(self.name, quota.limit, quota.period, self.unit)


def read_rule(
    limit: Rate | int,
    algorithm: Algorithm = "gcra",
    burst: int | None = None,
    key: Sequence[str] = ("client_ip",),
    cost: int | str = 1,
    statuses: frozenset[int] | None = None,
    name: str | None = None,
) -> Rule:
    """A rule of these settings. Raises ValueError, with the fix, when they don't go together."""
    if algorithm == "concurrency":
        return _in_flight(limit, burst, key, cost, statuses, name)
    if isinstance(limit, int):
        raise ValueError(
            f"{limit} is not a rate; write {limit}/s or {limit}/min, "
            "or `algorithm: concurrency` for so many at one time"
        )
    if limit.bytes != (cost == "response_bytes"):
        raise ValueError(
            f"{limit} counts bytes, which needs `cost: response_bytes`"
            if limit.bytes
            else f"`cost: response_bytes` needs a limit of bytes, such as 10MiB/min, not {limit}"
        )
    if burst is not None and algorithm != "gcra":
        raise ValueError(f"`burst` belongs to `algorithm: gcra`, not to {algorithm}")
    quota = Quota(algorithm, limit.count, limit.period, burst or limit.count)
    if isinstance(cost, int) and cost > quota.burst:
        raise ValueError(f"a cost of {cost} never fits into {quota.burst}, the most at once")
    period = _PERIODS.get(limit.period) or show_duration(limit.period)
    unit: Unit = "content-bytes" if limit.bytes else "requests"
    if limit.bytes:
        amount = show_size(limit.count)
    elif cost == 1:
        amount = _requests(limit.count)
    else:
        amount = str(limit.count)
    detail = f"Limit of {amount} per {period} exceeded."
    return Rule(name or str(limit), quota, unit, tuple(key), cost, statuses, detail)


def _in_flight(
    limit: Rate | int,
    burst: int | None,
    key: Sequence[str],
    cost: int | str,
    statuses: frozenset[int] | None,
    name: str | None,
) -> Rule:
    if not isinstance(limit, int):
        raise ValueError(
            f"{limit} is a rate; `algorithm: concurrency` takes a plain number, so many at one time"
        )
    if not 1 <= limit <= IN_FLIGHT_MAX:
        raise ValueError(f"from 1 to {IN_FLIGHT_MAX} requests can be in flight, not {limit}")
    if burst is not None or cost != 1 or statuses is not None:
        raise ValueError("`algorithm: concurrency` has no `burst`, `cost` or `when`")
    quota = Quota("concurrency", limit, 0.0, limit)
    detail = f"Limit of {_requests(limit)} at one time exceeded."
    name = name or f"{limit} at once"
    return Rule(name, quota, "concurrent-requests", tuple(key), 1, None, detail)


def read_statuses(written: Iterable[int | str]) -> frozenset[int]:
    """The status codes of `401`, `4xx` and `400-499`. Raises ValueError for anything else."""
    codes: set[int] = set()
    for text in map(str, written):
        match = _STATUS.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no status; write 401, 4xx or 400-499")
        if match[1]:
            codes.update(range(int(match[1]) * 100, int(match[1]) * 100 + 100))
        else:
            codes.update(range(int(match[2]), int(match[3] or match[2]) + 1))
    return frozenset(codes)


def with_distinct_names(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules, those of the same name numbered from the second on."""
    seen: dict[str, int] = {}
    named = []
    for rule in rules:
        count = seen[rule.name] = seen.get(rule.name, 0) + 1
        named.append(rule if count == 1 else rule._replace(name=f"{rule.name} ({count})"))
    return tuple(named)


def _requests(count: int) -> str:
    return f"{count} request" if count == 1 else f"{count} requests"
