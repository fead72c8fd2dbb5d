"""What an operator may ask of a policy's limits: what they are, how a key stands, a new start.

May live here: finding the groups that a question is about, and their answers as plain data.
Must not live here: HTTP (`admin`), or which worker is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any

from proxy.errors import Refused
from proxy.limits import Reading, Verdict
from proxy.policies.rate_limit.groups import Group
from proxy.policies.rate_limit.rules import Rule


class LimitDesk:
    """A `limits.Desk`. name: the route whose own limits these are, or `*`."""

    def __init__(
        self, name: str, groups: Sequence[Group], tiers: Mapping[str, Sequence[Group]]
    ) -> None:
        self.name = name
        self._groups = groups
        self._tiers = tiers

    def describe(self) -> dict[str, Any]:
        """The limits, and those of each tier."""
        told: dict[str, Any] = {"policy": self.name, "limits": _limits(self._groups)}
        if self._tiers:
            told["tiers"] = {tier: _limits(groups) for tier, groups in self._tiers.items()}
        return told

    async def look(self, values: Sequence[str], tier: str) -> list[dict[str, Any]]:
        """How each limit of a key stands. values: of its parts, in order; none for limits that
        are for everybody. Raises ValueError, with the fix, when there is no such key, and
        Refused `limit_unavailable` when nothing counts it."""
        rows = []
        for group in self._meant(values, tier):
            answer = group.limiter.look(group.key.of_values(values))
            reading: Reading = answer if isinstance(answer, tuple) else await answer
            if not reading:
                raise Refused("limit_unavailable")
            pairs = zip(group.rules, reading, strict=True)
            rows += [_state(rule, verdict) for rule, verdict in pairs]
        return rows

    async def reset(self, values: Sequence[str], tier: str) -> None:
        """Let a key begin anew. Raises ValueError as `look` does, and Refused
        `limit_unavailable` when the store can't be asked."""
        for group in self._meant(values, tier):
            done = group.limiter.reset(group.key.of_values(values))
            if done is not None:
                await done

    def _meant(self, values: Sequence[str], tier: str) -> Iterator[Group]:
        if tier and tier not in self._tiers:
            known = f"; known are {', '.join(self._tiers)}" if self._tiers else ", nor any other"
            raise ValueError(f"there is no tier {tier!r}{known}")
        groups = self._tiers[tier] if tier else self._groups
        meant = [group for group in groups if len(group.key.named) == len(values)]
        if not meant:
            keys = dict.fromkeys(" and ".join(group.key.named) or "global" for group in groups)
            raise ValueError(
                f"give `key` once for each part of the key, which is {', or '.join(keys)}"
            )
        return iter(meant)


def _limits(groups: Sequence[Group]) -> list[dict[str, Any]]:
    return [
        {
            "name": rule.name,
            "algorithm": rule.quota.algorithm,
            "limit": rule.quota.limit,
            "period": rule.quota.period,
            "burst": rule.quota.burst,
            "key": list(rule.key),
            "cost": rule.cost,
        }
        for group in groups
        for rule in group.rules
    ]


def _state(rule: Rule, verdict: Verdict) -> dict[str, Any]:
    return {
        "name": rule.name,
        "admits": verdict.allowed,
        "remaining": verdict.remaining,
        "retry_after": None if verdict.retry_after == inf else round(verdict.retry_after, 3),
        "reset_after": round(verdict.reset_after, 3),
        "counted": "locally" if verdict.source == "local" else "in the store",
    }
