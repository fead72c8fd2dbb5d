"""Builds what a plan asks for and throws it away, so that `check` finds what only building
can tell: an unreadable CA file, a pattern that a policy can't use. Opens no connection."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from proxy.config.load import Document
from proxy.config.problems import Problem, show_path
from proxy.contract import Counter, Log, Toolkit, Verdict
from proxy.runtime.plan import Plan
from proxy.upstream.endpoint import make_endpoint


class _Nobody:
    """Stands for everything that a policy may be given."""

    async def gcra(self, key: str, interval: float, burst: int, cost: int = 1) -> Verdict:
        return Verdict(True, burst, 0.0, 0.0)

    def counter(self, name: str, documentation: str, **labels: str) -> Counter:
        return self

    def inc(self, amount: float = 1.0) -> None:
        return None

    def debug(self, event: str, **facts: Any) -> None:
        return None

    info = warning = error = debug


def rehearse(plan: Plan, document: Document, log: Log | None = None) -> list[Problem]:
    """Every problem that building finds, in the order of the plan."""
    problems: list[Problem] = []
    for name, upstream in plan.config.upstreams.items():
        for text in upstream.endpoints:
            try:
                make_endpoint(text, upstream.tls, upstream.timeouts)
            except ValueError as error:
                path = ("upstreams", name, "tls", "ca_file")
                place = document.place(path)
                problems.append(Problem(place, show_path(path), document.hide(str(error))))
                break
    toolkit = _toolkit(log or _Nobody())
    for route in plan.routes:
        for policy in route.policies:
            try:
                policy.spec.build(policy.options, toolkit)
            except ValueError as error:
                place = policy.place or document.place(policy.path)
                message = document.hide(str(error))
                problems.append(Problem(place, show_path(policy.path), message))
    return list(dict.fromkeys(problems))


def _toolkit(log: Log) -> Toolkit:
    nobody = _Nobody()

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        work.close()

    return Toolkit(
        clock=lambda: 0.0,
        wall=lambda: 0.0,
        random=bytes,
        store=nobody,
        metrics=nobody,
        log=log,
        spawn=spawn,
    )
