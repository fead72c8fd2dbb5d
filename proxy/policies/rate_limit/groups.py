"""Rules that are counted together: by one key, with one cost, for the same requests.

May live here: what is asked of the store for a request, and what is settled after it. Must
not live here: what a refusal looks like (`replies`), or when anything is asked (`policy`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from proxy.contract import Request, Response, Toolkit
from proxy.http1.headers import Headers
from proxy.limits import Limiter, Quota, Reading, RemoteLimiter, Terms
from proxy.policies.rate_limit.keys import Key
from proxy.policies.rate_limit.options import Options
from proxy.policies.rate_limit.rules import COST_MAX, Rule

_FREE: Final = 0
_USUAL: Final = 1


class Group:
    """Rules with their limiter.

    rules, key: theirs. limiter: counts them. later: what they cost is known with the
    response, before which it is only asked whether anything is left. in_flight: they count
    requests until their end. statuses: those that count, None for all.
    """

    def __init__(self, rules: Sequence[Rule], key: Key, limiter: Limiter | RemoteLimiter) -> None:
        first = rules[0]
        self.rules = tuple(rules)
        self.key = key
        self.limiter = limiter
        self.later = first.settled_later
        self.in_flight = first.quota.algorithm == "concurrency"
        self.statuses = first.statuses
        self.by_bytes = first.cost == "response_bytes"
        self.fixed_cost = first.cost if isinstance(first.cost, int) else None
        kind, _, name = str(first.cost).partition(":")
        self._request_field = name.lower() if kind == "header" else ""
        self._response_field = name.lower() if kind == "response_header" else ""

    @property
    def unsettled(self) -> bool:
        """Whether anything is to do after the response."""
        return self.later or self.in_flight or self.statuses is not None

    def cost(self, request: Request) -> int:
        """What a request costs, as far as it is known."""
        if self.fixed_cost is not None:
            return self.fixed_cost
        return _number(request.headers, self._request_field) if self._request_field else _USUAL

    def cost_of(self, response: Response) -> int:
        """What a response says that it costs."""
        return _number(response.headers, self._response_field)


class Taken(NamedTuple):
    """What a group's limiter was asked for a request, and what it said."""

    group: Group
    key: str
    cost: int
    reading: Reading

    def undo(self) -> None:
        """Give it back."""
        if not self.group.later and self.reading:
            self.group.limiter.give_back(self.key, self.cost, self.reading)

    def answered(self, status: int) -> None:
        """The status of the response is known, and whether the request counts."""
        if self.group.statuses is not None and status not in self.group.statuses:
            self.undo()

    def charge(self, cost: int) -> None:
        """Take what the response turned out to cost."""
        if cost:
            self.group.limiter.charge(self.key, min(cost, COST_MAX))


def make_groups(
    rules: Iterable[Rule], options: Options, toolkit: Toolkit, tier: str = ""
) -> tuple[Group, ...]:
    """The groups of some rules, in the order of their first ones."""
    together: dict[tuple[object, ...], list[Rule]] = {}
    for rule in rules:
        in_flight = rule.quota.algorithm == "concurrency"
        together.setdefault((rule.key, rule.cost, rule.statuses, in_flight), []).append(rule)
    groups = []
    for members in together.values():
        first = members[0]
        key = Key(first.key, options.missing, options.ipv4_prefix, options.ipv6_prefix)
        quotas = [rule.quota for rule in members]
        identity = (
            toolkit.scope, tier, first.key, first.cost, sorted(first.statuses or ()), quotas,
            options.missing, options.ipv4_prefix, options.ipv6_prefix,
        )  # fmt: skip
        terms = Terms(options.on_store_failure, lease_of(options, quotas))
        limiter = toolkit.store.limiter(repr(identity), quotas, terms)
        groups.append(Group(members, key, limiter))
    return tuple(groups)


def lease_of(options: Options, quotas: Sequence[Quota]) -> int:
    """How many a worker takes ahead of quotas that are counted together; 0 for none."""
    if options.precision == "exact":
        return 0
    most = min(quota.burst for quota in quotas)
    return min(options.lease or max(1, most // 10), most)


def _number(headers: Headers, name: str) -> int:
    """The cost in a field; what is no number counts as usual."""
    value = headers.raw(name)
    if value is None or len(value) > 15 or not value.isdigit():
        return _USUAL
    return min(int(value), COST_MAX)
