"""Where an upstream's endpoints are found, and found again, away from the hot path.

May live here: when to look, and what becomes of a look that fails: the last good answer is
kept for as long as there is no other. Must not live here: how a source is asked (`resolver`,
`listing`), or what becomes of endpoints (`cluster`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from proxy.upstream.means import Means

# After a failure: from one second, doubling.
_FIRST_RETRY: Final = 1.0
PATIENCE: Final = 30.0
"""Seconds between two looks that fail, at most, where looking costs somebody something."""


class Found(NamedTuple):
    """An endpoint that was found. url: its address. name: what it is called in a Host field and
    in its certificate, empty for what the address says."""

    url: str
    weight: int = 1
    priority: int = 0
    name: str = ""


class Answer(NamedTuple):
    """Endpoints, in an order that doesn't matter, and for how many seconds they hold."""

    endpoints: tuple[Found, ...]
    ttl: float


class Source(Protocol):
    """Something that can be asked for endpoints.

    patience: seconds between two looks that fail, at most.
    """

    patience: float

    async def look(self) -> Answer:
        """The endpoints that there are now. Raises LookupError, which says why, when it fails."""
        ...


class Discovery:
    """Asks a source again and again. answer: the last good one; outlives reloads."""

    def __init__(self, upstream: str, source: Source, means: Means) -> None:
        self._upstream = upstream
        self._source = source
        self._clock = means.clock
        self._metrics = means.metrics
        self._due = 0.0
        self._failures = 0
        self.answer: Answer | None = None
        self.problem = ""
        """Why the last look failed; empty when it didn't."""

    async def run(self, tell: Callable[[Answer], None], means: Means) -> None:
        """Look when it is time, and tell of each good answer, until cancelled."""
        while True:
            await asyncio.sleep(max(0.0, self._due - self._clock()))
            try:
                answer = await self._source.look()
            except LookupError as error:
                self._failed(str(error), means)
                continue
            if self.problem:
                self.problem = ""
                means.log.info("discovery works again", upstream=self._upstream)
            self._failures = 0
            self._due = self._clock() + answer.ttl
            self._count("good")
            changed = self.answer is None or self.answer.endpoints != answer.endpoints
            self.answer = answer
            if changed:
                means.log.info(
                    "endpoints found",
                    upstream=self._upstream,
                    endpoints=[found.url for found in answer.endpoints],
                )
            tell(answer)

    def facts(self) -> dict[str, Any]:
        """What an operator is told."""
        facts: dict[str, Any] = {
            "found": None if self.answer is None else len(self.answer.endpoints),
            "next_look_in": round(max(0.0, self._due - self._clock()), 1),
        }
        if self.problem:
            facts["problem"] = self.problem
        return facts

    def _failed(self, problem: str, means: Means) -> None:
        if problem != self.problem:
            # Once for each kind of failure; the metric counts them all.
            kept = "the last good answer is kept" if self.answer else "there are no endpoints yet"
            means.log.warning(
                f"discovery failed; {kept}",
                upstream=self._upstream,
                cause=problem,
            )
        self.problem = problem
        wait = min(self._source.patience, _FIRST_RETRY * 2.0**self._failures)
        self._failures = min(self._failures + 1, 10)
        self._due = self._clock() + wait
        self._count("failed")

    def _count(self, result: str) -> None:
        self._metrics.counter(
            "sidegate_upstream_discoveries_total",
            "Looks for endpoints by DNS or in a file.",
            upstream=self._upstream,
            result=result,
        ).inc()
