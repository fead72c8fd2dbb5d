"""A breaker around what it protects: a handler that asks, or refuses to.

May live here: which outcomes are failures, what a refused request is told, what is counted.
Must not live here: when the breaker opens and closes (`breaker`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from math import ceil
from typing import Any

from proxy.asking import Asked, Inside, PatientAsker, Pending, ask_through, waited
from proxy.config.protection import Breaker as Options
from proxy.contract import Handler, Request, Response
from proxy.errors import Unsent
from proxy.http1.retry_after import seconds_of
from proxy.http1.status import read_statuses
from proxy.upstream.breaker import Breaker
from proxy.upstream.means import Means
from proxy.upstream.member import Member
from proxy.upstream.outlier import blames

Ticket = tuple[int, float]
"""The breaker's, 0 in shadow while it is open; and since when, in monotonic seconds."""

_LEVELS = {"closed": 0.0, "half_open": 0.5, "open": 1.0}


class Guard:
    """Asks through a breaker. endpoint: of which it is; empty when it is of all of them."""

    def __init__(
        self,
        upstream: str,
        endpoint: str,
        breaker: Breaker,
        options: Options,
        ask: Handler,
        means: Means,
    ) -> None:
        self.breaker = breaker
        self.name = upstream
        self._endpoint = endpoint
        self._inside = Inside(ask)
        self._clock = means.clock
        self._wall = means.wall
        self._log = means.log
        self._slow = options.slow or float("inf")
        self._statuses = read_statuses(options.statuses)
        self._shadow = options.mode == "shadow"
        self._level = means.metrics.gauge(
            "sidegate_upstream_breaker_open",
            "State of a circuit breaker: 0 closed, 0.5 half open, 1 open.",
            "max",
            upstream=upstream,
            endpoint=endpoint,
        )
        self._opened = means.metrics.counter(
            "sidegate_upstream_breaker_opened_total",
            "How often a circuit breaker opened.",
            upstream=upstream,
            endpoint=endpoint,
        )
        self._started = False

    def shut(self) -> bool:
        """Whether a request would be refused."""
        return not (self._shadow or self.breaker.would_admit(self._clock()))

    async def __call__(self, request: Request) -> Response:
        """Ask. Raises Unsent `circuit_open` while the breaker is open."""
        return await waited(self, self._admit(request), request, self._inside.ask(request))

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        """Ask at once where that can be. Raises as asking does."""
        return ask_through(self, self._admit(request), self._inside, request, asker)

    def answered(self, ticket: Ticket, request: Request, response: Response) -> Response:
        """The head of a response is here, which may be a failure all the same."""
        breaker, (number, started) = self.breaker, ticket
        before, now = breaker.state, self._clock()
        if response.status in self._statuses:
            patience = seconds_of(response.headers.get("retry-after"), self._wall())
            breaker.failed(number, now, patience or 0.0)
        elif now - started > self._slow:
            breaker.failed(number, now)
        else:
            breaker.succeeded(number, now)
        if breaker.state != before:
            self._tell()
        return response

    def failed(self, ticket: Ticket, request: Request, error: BaseException) -> Response:
        """There will be no response; not each failure is the service's."""
        breaker, (number, started) = self.breaker, ticket
        before, now = breaker.state, self._clock()
        # One that gave up waiting may have waited too long already.
        slow = isinstance(error, asyncio.CancelledError) and now - started > self._slow
        if slow or blames(error, request):
            breaker.failed(number, now)
        else:
            breaker.dropped(number)
        if breaker.state != before:
            self._tell()
        raise error

    def _admit(self, request: Request) -> Ticket:
        breaker = self.breaker
        started = self._clock()
        before = breaker.state
        ticket = breaker.admit(started)
        if breaker.state != before:
            self._tell()
        if not ticket:
            if not self._shadow:
                request.decide("breaker", "refused", "circuit_open")
                wait = str(max(1, ceil(breaker.wait(started))))
                raise Unsent("circuit_open", headers=(("Retry-After", wait),))
            request.decide("breaker", "would_refuse", "circuit_open")
        return ticket, started

    def start(self) -> None:
        """Its state is told from now on."""
        if not self._started:
            self._started = True
            self.breaker.shown += 1
            self._level.set(_LEVELS[self.breaker.state])

    def stop(self) -> None:
        """Its state is told no more, unless another has the same breaker."""
        if self._started:
            self._started = False
            self.breaker.shown -= 1
            if not self.breaker.shown:
                self._level.clear()

    def members(self) -> Iterable[Member]:
        """It knows none."""
        return ()

    def facts(self) -> dict[str, Any]:
        """What an operator is told."""
        breaker = self.breaker
        facts: dict[str, Any] = {"state": breaker.state, "opened": breaker.opened}
        if self._shadow:
            facts["mode"] = "shadow"
        if breaker.state == "open":
            facts["closed_for"] = round(breaker.wait(self._clock()), 1)
        return {f"breaker {self._endpoint}" if self._endpoint else "breaker": facts}

    def _tell(self) -> None:
        breaker = self.breaker
        if breaker.shown:
            self._level.set(_LEVELS[breaker.state])
        facts = {"upstream": self.name, "endpoint": self._endpoint, "state": breaker.state}
        if breaker.state == "open":
            self._opened.inc()
            seconds = round(breaker.wait(self._clock()), 3)
            self._log.warning("circuit breaker opened", seconds=seconds, **facts)
        else:
            self._log.info("circuit breaker changed", **facts)
