"""Lets no more requests to a service than it takes: the rest wait a little, or are turned away.

May live here: who is let in, who waits, what the others are told. Must not live here: how
the limit is found (`gradient`), or in which order those who wait are served (`waiting`).

A request counts from here to the head of its response; bodies and tunnels that follow are
bounded by the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Final

from proxy.asking import Asked, Inside, PatientAsker, Pending, ask_through, waited
from proxy.config.protection import Concurrency
from proxy.contract import PRIORITIES, PRIORITY, Counter, Gauge, Handler, Request, Response
from proxy.errors import Unsent
from proxy.upstream.gradient import Gradient
from proxy.upstream.key import read_key
from proxy.upstream.means import Means
from proxy.upstream.member import Member
from proxy.upstream.outlier import blames
from proxy.upstream.waiting import Waiting

_Waiter = asyncio.Future[bool]

# The part of the limit that each class may fill, so that there is room for the ones before it.
_SHARES: Final = (1.0, 0.95, 0.9, 0.75)
_NORMAL: Final = PRIORITIES.index("normal")
_TELL: Final = 1.0


class Lobby:
    """The limit of a service, how many are under way, and who waits; outlives reloads."""

    __slots__ = ("gradient", "under_way", "waiting")

    def __init__(self, options: Concurrency, now: float) -> None:
        start = min(options.most, max(options.least, options.start))
        self.gradient = Gradient(start, options.least, options.most, options.tolerance)
        self.waiting: Waiting[_Waiter] = Waiting(
            options.queue, options.target, options.patience, now
        )
        self.under_way = 0


class Admission:
    """Asks by `ask`, within the limit. deadline: for the sweep."""

    def __init__(
        self, name: str, options: Concurrency, lobby: Lobby, ask: Handler, means: Means
    ) -> None:
        self.name = name
        self._options = options
        self._lobby = lobby
        self._gradient = lobby.gradient
        self._waiting = lobby.waiting
        self._inside = Inside(ask)
        self._means = means
        self._clock = means.clock
        self._key = None if options.fair is None else read_key(options.fair)
        self._ending = False
        self._shadow = options.mode == "shadow"
        self._tell_at = 0.0
        self._shed: dict[tuple[str, str], Counter] = {}
        self.deadline = means.clock()

    async def __call__(self, request: Request) -> Response:
        """Ask when there is room. Raises Unsent `upstream_overloaded` when there is none."""
        priority: int = request.state.get(PRIORITY, _NORMAL)
        if not self._admits(priority):
            await self._wait(request, priority)
        return await waited(self, self._clock(), request, self._inside.ask(request))

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        """Ask at once where there is room and asking needs no waiting."""
        if not self._admits(request.state.get(PRIORITY, _NORMAL)):
            return self(request)
        return ask_through(self, self._clock(), self._inside, request, asker)

    def answered(self, ticket: float, request: Request, response: Response) -> Response:
        """The head of a response is here. ticket: since when, in monotonic seconds."""
        if response.status < 500:
            now = self._clock()
            self._gradient.answered(now, now - ticket, self._lobby.under_way)
        self._leave()
        return response

    def failed(self, ticket: float, request: Request, error: BaseException) -> Response:
        """There will be no response, which may be the service's fault."""
        if blames(error, request):
            self._gradient.failed(self._clock(), self._lobby.under_way)
        self._leave()
        raise error

    def start(self) -> None:
        """Watch those who wait from now on."""
        self._means.deadlines.add(self)
        self._tell()

    def stop(self) -> None:
        """Another takes over; whoever still waits here has a turn, or is turned away in time."""
        self._ending = True
        for gauge, _ in self._levels():
            gauge.clear()

    def expire(self, now: float) -> None:
        """Turn away those who have waited too long, and tell the metrics."""
        self._turn_away(now)
        self.deadline = now
        if self._ending:
            if not self._waiting:
                self._means.deadlines.discard(self)
        elif now >= self._tell_at:
            self._tell_at = now + _TELL
            self._tell()

    def members(self) -> Iterable[Member]:
        """It knows none."""
        return ()

    def facts(self) -> dict[str, Any]:
        """What an operator is told."""
        return {
            "concurrency": {
                "limit": self._gradient.limit,
                "under_way": self._lobby.under_way,
                "waiting": len(self._waiting),
                "usual_ms": round(self._gradient.usual * 1000.0, 1),
            }
        }

    def _admits(self, priority: int) -> bool:
        """Take a place if there is one, and nobody waits for it."""
        if len(self._waiting) or not self._room(priority):
            return False
        self._lobby.under_way += 1
        return True

    def _leave(self) -> None:
        self._lobby.under_way -= 1
        self._let_in()

    def _room(self, priority: int) -> bool:
        # The first class needn't wait for a measurement, and one request is always let in.
        limit = self._gradient.limit if priority else self._gradient.settled
        return self._lobby.under_way < max(1.0, limit * _SHARES[priority])

    async def _wait(self, request: Request, priority: int) -> None:
        """Wait for a place, and take it. Raises Unsent when there is none in time."""
        now = self._clock()
        if self._shadow:
            request.decide("concurrency", "would_refuse", "upstream_overloaded")
            self._count("full", priority)
            self._lobby.under_way += 1
            return
        waiter: _Waiter = self._means.loop.create_future()
        key = b"" if self._key is None else self._key(request)
        if len(self._waiting) >= self._options.queue:
            self._turn_away(now)
        joined, loser = self._waiting.join(waiter, priority, key, now)
        if loser is not None and not loser.done():
            loser.set_result(False)
        if not joined:
            raise self._refused(request, "full", priority)
        self._let_in()
        try:
            admitted = await waiter
        except asyncio.CancelledError:
            self._waiting.leave(waiter, self._clock())
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self._lobby.under_way -= 1
                self._let_in()
            raise
        if not admitted:
            raise self._refused(request, "late", priority)

    def _let_in(self) -> None:
        """Give places that are free to those who wait."""
        while (priority := self._waiting.first) is not None and self._room(priority):
            turn = self._waiting.next(self._clock())
            if turn is not None and not turn[0].done():
                waiter, in_time = turn
                self._lobby.under_way += in_time
                waiter.set_result(in_time)

    def _turn_away(self, now: float) -> None:
        """Those who have waited too long need not wait on."""
        for waiter in self._waiting.late(now):
            if not waiter.done():
                waiter.set_result(False)

    def _refused(self, request: Request, reason: str, priority: int) -> Unsent:
        request.decide("concurrency", "refused", "upstream_overloaded")
        self._count(reason, priority)
        return Unsent("upstream_overloaded", headers=(("Retry-After", "1"),))

    def _count(self, reason: str, priority: int) -> None:
        key = (reason, PRIORITIES[priority])
        cell = self._shed.get(key)
        if cell is None:
            cell = self._shed[key] = self._means.metrics.counter(
                "sidegate_upstream_shed_total",
                "Requests turned away because a service has enough to do, by why and class.",
                upstream=self.name,
                reason=reason,
                priority=key[1],
            )
        cell.inc()

    def _tell(self) -> None:
        for gauge, value in self._levels():
            gauge.set(value)

    def _levels(self) -> Iterator[tuple[Gauge, float]]:
        for name, documentation, value in (
            ("limit", "Requests that may be under way to a service.", self._gradient.limit),
            ("under_way", "Requests under way to a service with a limit.", self._lobby.under_way),
            ("waiting", "Requests that wait for a place.", len(self._waiting)),
        ):
            yield (
                self._means.metrics.gauge(
                    f"sidegate_upstream_concurrency_{name}", documentation, upstream=self.name
                ),
                value,
            )
