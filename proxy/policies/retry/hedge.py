"""A second try beside a first that takes long; a good answer wins, the other is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

from proxy.config.units import parse_duration
from proxy.contract import TRIED, Handler, Request, Response, Toolkit
from proxy.http1.method import IDEMPOTENT
from proxy.policies.retry.budget import Budget
from proxy.policies.retry.quantile import Quantile

_PART: Final = 0.95


class Hedge:
    """Sends a request to a second endpoint when the first takes longer than `after`.

    after: a duration, or `p95`. Counts within the same budget as retries.
    """

    def __init__(
        self, after: str, methods: frozenset[str], budget: Budget, toolkit: Toolkit
    ) -> None:
        self._fixed = 0.0 if after == "p95" else parse_duration(after)
        self._methods = methods & IDEMPOTENT
        self._budget = budget
        self._clock = toolkit.clock
        name = toolkit.target.name
        self._lately = toolkit.keep(f"retry/hedge/{name}", lambda: Quantile(_PART))
        self._won, self._lost = (
            toolkit.metrics.counter(
                "sidegate_hedges_total",
                "Second tries beside a slow first one, by which of them answered first.",
                upstream=name,
                winner=winner,
            )
            for winner in ("second", "first")
        )

    def wrap(self, forward: Handler) -> Handler:
        """A handler that hedges what may be handled twice."""

        async def handle(request: Request) -> Response:
            started = self._clock()
            after = self._fixed or self._lately.value
            # Two handshakes would open two tunnels.
            whole = isinstance(request.body, bytes) and not request.upgrade
            if request.method in self._methods and whole and after:
                response = await self._race(request, forward, after)
            else:
                response = await forward(request)
            self._lately.observe(self._clock() - started)
            return response

        return handle

    async def _race(self, request: Request, forward: Handler, after: float) -> Response:
        loop = asyncio.get_running_loop()

        async def run(asked: Request) -> Response:
            return await forward(asked)

        first = loop.create_task(run(request))
        tries = {first: request}
        try:
            await asyncio.wait({first}, timeout=after)
            if not first.done() and self._budget.take(self._clock()):
                twin = request.copy()
                tried = request.state.get(TRIED, ())
                twin.state = {**request.state, TRIED: {*tried, request.endpoint}}
                second = loop.create_task(run(twin))
                tries[second] = twin
                request.decide("retry", "changed", "hedged")
            winner = await _first_answer(set(tries))
            await _drop(tries.keys() - {winner})
        except BaseException:
            await _drop(tries)
            raise
        if len(tries) == 2:
            (self._lost if winner is first else self._won).inc()
        request.endpoint = tries[winner].endpoint
        return winner.result()


async def _first_answer(tries: set[asyncio.Task[Response]]) -> asyncio.Task[Response]:
    """The try that was answered first, a failure of the service being no answer as long as there
    may be another; when all fail, one with a response."""
    waiting = tries
    spare: asyncio.Task[Response] | None = None
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            answered = task.exception() is None
            if answered and task.result().status < 500:
                return task
            if spare is None or answered:
                spare = task
        if spare is not None and not waiting:
            return spare


async def _drop(tries: Collection[asyncio.Task[Response]]) -> None:
    """End tries; what they have got already, or get all the same, is thrown away."""
    for task in tries:
        task.cancel()
    # Unlike awaiting them, which would take whoever cancels this for the end of a try.
    if waiting := [task for task in tries if not task.done()]:
        await asyncio.wait(waiting)
    for task in tries:
        if not task.cancelled() and task.exception() is None:
            body = task.result().body
            if not isinstance(body, bytes):
                await body.aclose()
