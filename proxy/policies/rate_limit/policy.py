"""Refuses requests beyond limits: when the store is asked, and what follows from its answer.

The common case, one key and nothing to settle, is written out by itself: it stands in the way
of every request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import Final, cast

from proxy.contract import Counter, Decision, Handler, PolicySpec, Request, Response, Toolkit
from proxy.errors import Refused
from proxy.http1.networks import Networks, range_of
from proxy.limits import Reading
from proxy.memo import Memo
from proxy.policies.rate_limit.desk import LimitDesk
from proxy.policies.rate_limit.groups import Group, Taken, lease_of, make_groups
from proxy.policies.rate_limit.keys import Key
from proxy.policies.rate_limit.options import Options
from proxy.policies.rate_limit.patience import Question, drop, undo, wait
from proxy.policies.rate_limit.replies import Replies
from proxy.policies.rate_limit.settlement import STATE, Guard

_NAME: Final = "rate_limit"
# How many of those who were refused are remembered, with what the log calls them.
_MET_MAX: Final = 1024


class RateLimit:
    """A gate, which also tells clients what is left and settles what the response decides.

    Allowances are kept in the store under the settings that they depend on. check,
    edit_response, wrap: the shapes that this one has, by its options.
    """

    check: Callable[[Request], Awaitable[Refused | None] | Refused | None]
    edit_response: Callable[[Request, Response], None]
    wrap: Callable[[Handler], Handler]

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self.name = toolkit.scope or "*"
        self.groups = make_groups(options.rules(), options, toolkit)
        self.tiers = {
            tier: make_groups(options.rules(tier), options, toolkit, tier) for tier in options.tiers
        }
        self.desk = LimitDesk(self.name, self.groups, self.tiers)
        self._options = options
        self._met: Memo[tuple[Group, str, str], Decision] = Memo(_MET_MAX)
        part = options.tier or self.groups[0].key.parts[0]
        self._tier = Key((part,), "exempt", options.ipv4_prefix, options.ipv6_prefix)
        self._exempt_clients = Networks(map(range_of, options.exempt.clients))
        self._exempt_keys = frozenset(options.exempt.keys)
        self._replies: dict[tuple[Group, ...], Replies] = {}
        self._tally = _Tally(self.name, options, toolkit)
        every = [group for groups in (self.groups, *self.tiers.values()) for group in groups]
        prompt = all(group.limiter.prompt for group in every)
        check = self._check_at_once if prompt else self._check_remotely
        if any(group.unsettled for group in every):
            # Nothing may come between the taking and the settling, so both are inside.
            guard = Guard(_NAME, options.mode, check)
            self.wrap = guard.wrap
        elif self._plain():
            self._take = self.groups[0].limiter.take
            self._key = self.groups[0].key.read
            self._cost = self.groups[0].fixed_cost or 1
            self._only = self._replies_of(self.groups)
            self._admitted = self._tally.admitted.inc
            self.check = self._check_plainly
        else:
            self.check = check
        if options.fields != "none" and options.mode == "enforce":
            brief = getattr(self, "check", None) == self._check_plainly and self._only.brief
            self.edit_response = self._tell_plainly if brief else self._tell

    def _plain(self) -> bool:
        """Whether all that is to do is to take from the only group."""
        return not (
            len(self.groups) > 1
            or self.tiers
            or len(self._exempt_clients)
            or self._exempt_keys
            or self.groups[0].unsettled
            or self.groups[0].fixed_cost is None
        )

    def _check_plainly(self, request: Request) -> Awaitable[Refused | None] | Refused | None:
        """Refuse as `rate_limited` when the allowance is used up."""
        key = self._key(request)
        if key is None:
            self._tally.exempt.inc()
            return None
        reading = self._take(key, self._cost)
        if not isinstance(reading, tuple):
            asked = [(self.groups[0], key, self._cost, reading)]
            return wait(request, asked, self._conclude)
        for verdict in reading:
            if not verdict.allowed or verdict.source == "local":
                if self._only.brief and verdict.source == "store":
                    group = self.groups[0]
                    self._note_refusal(request, group, key, group.rules[0].name)
                    return self._only.refusal_of_one(verdict)
                break
        else:
            if reading:
                self._admitted()
                request.state[STATE] = reading
                return None
        return self._conclude(request, [Taken(self.groups[0], key, self._cost, reading)])

    def _check_at_once(self, request: Request) -> Refused | None:
        """Refuse as `rate_limited` when one of several allowances is used up."""
        taken: list[Taken] = []
        try:
            for group, key in self._asked(request):
                cost = group.cost(request)
                ask = group.limiter.look if group.later else group.limiter.take
                taken.append(Taken(group, key, cost, cast("Reading", ask(key, cost))))
        except Refused:
            undo(taken)
            raise
        return self._conclude(request, taken)

    def _check_remotely(self, request: Request) -> Awaitable[Refused | None] | Refused | None:
        """As `_check_at_once`; something to await where answers have to come from afar."""
        asked: list[Question] = []
        for group, key in self._asked(request):
            cost = group.cost(request)
            ask = group.limiter.look if group.later else group.limiter.take
            try:
                # All questions leave before the first answer is waited for.
                asked.append((group, key, cost, ask(key, cost)))
            except Refused:
                drop(asked)
                raise
        taken: list[Taken] = []
        for group, key, cost, answer in asked:
            if not isinstance(answer, tuple):
                return wait(request, asked, self._conclude)
            taken.append(Taken(group, key, cost, answer))
        return self._conclude(request, taken)

    def _asked(self, request: Request) -> Sequence[tuple[Group, str]]:
        """The groups that have a say in a request, with its key in each."""
        groups: Sequence[Group] = self.groups
        if request.client_ip in self._exempt_clients:
            groups = ()
        elif self.tiers:
            groups = self.tiers.get(self._tier.first(request) or "", groups)
        asked: list[tuple[Group, str]] = []
        for group in groups:
            if self._exempt_keys and self._exempt_keys.intersection(group.key.values(request)):
                asked = []
                break
            key = group.key(request)
            if key is not None:
                asked.append((group, key))
        if not asked:
            self._tally.exempt.inc()
        return asked

    def _conclude(self, request: Request, taken: Sequence[Taken]) -> Refused | None:
        """Note what was taken, or undo it and give the refusal."""
        told = [one for one in taken if one.reading]
        if len(told) < len(taken):
            request.decide(_NAME, "unchecked", "the store can't be asked; admitted unchecked")
            self._tally.open.inc()
        verdicts = tuple([verdict for one in told for verdict in one.reading])
        if any(verdict.source == "local" for verdict in verdicts):
            request.decide(_NAME, "unchecked", "the store can't be asked; counted locally")
            self._tally.local.inc()
        replies = self._replies_of(tuple([one.group for one in told]))
        index = replies.refused_by(verdicts)
        if index is None:
            self._tally.admitted.inc()
            request.state[STATE] = taken
            return None
        undo(told)
        rule = replies.rules[index].name
        met = next(one for one in told if rule in [own.name for own in one.group.rules])
        self._note_refusal(request, met.group, met.key, rule)
        return replies.refusal(index, verdicts)

    def _note_refusal(self, request: Request, group: Group, key: str, rule: str) -> None:
        """Count it, and tell the log; who is refused is often refused again."""
        self._tally.refused(rule)
        met = self._met.get((group, rule, key))
        if met is None:
            met = Decision(_NAME, "limited", self._for_log(request, group, rule))
            self._met[group, rule, key] = met
        request.decisions.append(met)

    def _tell_plainly(self, request: Request, response: Response) -> None:
        """Write what is left of the only limit into a response."""
        taken = request.state.get(STATE)
        if isinstance(taken, tuple):
            self._only.tell_one(response.headers, taken[0])
        elif taken:
            self._tell(request, response)

    def _tell(self, request: Request, response: Response) -> None:
        """Write what is left into a response."""
        taken = request.state.get(STATE)
        if isinstance(taken, tuple):
            self._only.tell(response.headers, taken)
        elif taken:
            told = [one for one in taken if one.reading]
            if told:
                replies = self._replies_of(tuple([one.group for one in told]))
                verdicts = tuple([verdict for one in told for verdict in one.reading])
                replies.tell(response.headers, verdicts)

    def _replies_of(self, groups: tuple[Group, ...]) -> Replies:
        replies = self._replies.get(groups)
        if replies is None:
            rules = [rule for group in groups for rule in group.rules]
            replies = self._replies[groups] = Replies(rules, self._options.fields)
        return replies

    def _for_log(self, request: Request, group: Group, rule: str) -> str:
        """Which limit was met by whom, as `log_key` says."""
        if self._options.log_key == "none":
            return rule
        values = ", ".join(group.key.values(request))
        if self._options.log_key == "hash":
            values = blake2b(values.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        return f"{rule} for {values}"


class _Tally:
    """What a policy counts. Its labels come from the configuration."""

    def __init__(self, name: str, options: Options, toolkit: Toolkit) -> None:
        metrics = toolkit.metrics

        def requests(outcome: str) -> Counter:
            return metrics.counter(
                "sidegate_rate_limit_requests_total",
                "Requests that a rate limit decided about.",
                policy=name,
                outcome=outcome,
            )

        def unchecked(instead: str) -> Counter:
            return metrics.counter(
                "sidegate_rate_limit_unchecked_total",
                "Requests whose limits were not asked of the store, since it failed.",
                policy=name,
                instead=instead,
            )

        self.admitted = requests("admitted")
        self.exempt = requests("exempt")
        self.open = unchecked("open")
        self.local = unchecked("local")
        self._refused = requests("would_refuse" if options.mode == "shadow" else "refused")
        every = [options.rules(), *(options.rules(tier) for tier in options.tiers)]
        if options.precision == "leased":
            for rule in (rule for rules in every for rule in rules):
                metrics.gauge(
                    "sidegate_rate_limit_overshoot_max",
                    "Most units that a leased limit admits beyond itself in any stretch of time: "
                    "one lease for each worker.",
                    policy=name,
                    limit=rule.name,
                ).set(lease_of(options, [rule.quota]))
        self._by_limit = {
            rule.name: metrics.counter(
                "sidegate_rate_limit_exceeded_total",
                "Requests that were beyond a limit, by the one with the longest wait.",
                policy=name,
                limit=rule.name,
            )
            for rules in every
            for rule in rules
        }

    def refused(self, limit: str) -> None:
        """A request was beyond this limit."""
        self._refused.inc()
        self._by_limit[limit].inc()


POLICY = PolicySpec(_NAME, Options, RateLimit, after={"error_envelope"}, shorthand="limit")
