"""Operators' questions about limits, answered by the policies that a worker has in use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from proxy.config.problems import meant
from proxy.contract import Policy
from proxy.errors import Refused
from proxy.limits import Desk


class LimitQuestion(NamedTuple):
    """A question about a key. policy: the route whose own limits are meant, `*` for those of
    all routes. key: the values of its parts. tier: empty for the policy's own limits. reset:
    let it begin anew."""

    policy: str
    key: tuple[str, ...]
    tier: str = ""
    reset: bool = False


class Desks:
    """The desks of one configuration. What is wrong with a question is in `problem`."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._desks: dict[str, Desk] = {}
        for policy in policies:
            desk: Desk | None = getattr(policy, "desk", None)
            if desk is not None:
                self._desks.setdefault(desk.name, desk)

    def describe(self) -> list[dict[str, Any]]:
        """All limits."""
        return [desk.describe() for desk in self._desks.values()]

    async def answer(self, question: LimitQuestion) -> dict[str, Any]:
        """How a key stands, after it was reset if that was asked for."""
        desk = self._desks.get(question.policy)
        if desk is None:
            hint = meant(question.policy, self._desks) or "; there are no limits"
            return {"problem": f'there are no limits called "{question.policy}"{hint}'}
        try:
            if question.reset:
                await desk.reset(question.key, question.tier)
            rows = await desk.look(question.key, question.tier)
        except ValueError as error:
            return {"problem": str(error)}
        except Refused as refusal:
            return {"problem": refusal.detail, "code": refusal.code}
        return {"policy": question.policy, "tier": question.tier, "limits": rows}
