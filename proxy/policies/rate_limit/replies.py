"""What clients are told of limits: refusals, and what is left."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf
from typing import Final, Literal

from proxy.errors import Refused
from proxy.http1.headers import Headers, key_of
from proxy.http1.quota_fields import (
    POLICY,
    STATE,
    DraftFields,
    QuotaState,
    seconds,
    write_legacy,
)
from proxy.limits import Reading, Verdict
from proxy.memo import Memo
from proxy.policies.rate_limit.rules import Rule

Fields = Literal["draft", "legacy", "none"]

_REFUSALS_MAX: Final = 256
_STATE_KEY: Final = key_of(STATE)
_POLICY_KEY: Final = key_of(POLICY)


class Replies:
    """Answers of some rules, which are checked together. fields: how clients are told."""

    def __init__(self, rules: Sequence[Rule], fields: Fields) -> None:
        self.rules = tuple(rules)
        self._fields = fields
        self._policies = tuple(rule.described() for rule in rules)
        self._draft = DraftFields(self._policies)
        self._described = POLICY + b": " + self._draft.policy
        self.brief = fields == "draft" and len(rules) == 1 and bool(self._policies[0].window)
        """Whether `tell_one` and `refusal_of_one` do."""
        # By what their numbers are: within a second all refusals say the same.
        self._refusals: Memo[tuple[int, int, int], Refused] = Memo(_REFUSALS_MAX)

    def tell_one(self, headers: Headers, verdict: Verdict) -> None:
        """As `tell`, in the common case: one rule, which admitted."""
        lines = headers.lines
        if _STATE_KEY in lines or _POLICY_KEY in lines:
            self.tell(headers, (verdict,))
            return
        lines[_STATE_KEY] = self._draft.line_of_one(verdict.remaining, verdict.reset_after)
        lines[_POLICY_KEY] = self._described

    def tell(self, headers: Headers, verdicts: Reading) -> None:
        """Write what is left; `verdicts` in the order of the rules."""
        if self._fields == "draft":
            headers.append(STATE, self._draft.state([_state(verdict) for verdict in verdicts]))
            headers.append(POLICY, self._draft.policy)
        elif self._fields == "legacy":
            write_legacy(headers, self._policies, [_state(verdict) for verdict in verdicts])

    def refused_by(self, verdicts: Reading) -> int | None:
        """The index of the rule that refuses, of several the one with the longest wait."""
        refusing = [index for index, verdict in enumerate(verdicts) if not verdict.allowed]
        return max(refusing, key=lambda index: verdicts[index].retry_after, default=None)

    def refusal(self, index: int, verdicts: Reading) -> Refused:
        """The refusal by a rule."""
        rule, wait = self.rules[index], verdicts[index].retry_after
        headers = Headers()
        detail = rule.detail
        if wait == inf:
            detail = f"The request costs more than {rule.quota.burst}, the most at once."
        else:
            headers.append(b"Retry-After", b"%d" % max(1, seconds(wait)))
        self.tell(headers, verdicts)
        fields = tuple((name.decode(), value.decode()) for name, value in headers.fields())
        return Refused("rate_limited", detail, headers=fields)

    def refusal_of_one(self, verdict: Verdict) -> Refused:
        """As `refusal`, in the common case: one rule. The same one for many requests."""
        wait, reset = verdict.retry_after, verdict.reset_after
        if wait == inf:
            return self.refusal(0, (verdict,))
        told = (ceil(wait), verdict.remaining, ceil(reset))
        refused = self._refusals.get(told)
        if refused is None:
            refused = self._refusals[told] = self.refusal(0, (verdict,))
        return refused


def _state(verdict: Verdict) -> QuotaState:
    wait = verdict.reset_after if verdict.allowed else verdict.retry_after
    return QuotaState(verdict.remaining, verdict.reset_after if wait == inf else wait)
