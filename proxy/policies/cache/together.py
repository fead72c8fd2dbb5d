"""Fetches that serve all who ask for the same thing meanwhile, and fetches that nobody waits for.

May live here: which fetches are under way, and what carries them on. A fetch that waits for
nothing but the service begins without a task; it gets one where there is more to wait for.
Must not live here: how a fetch is judged (`fetch`), or who has read how far (`flight`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from math import log
from typing import Any

from proxy.asking import FAILURES, Asked, Asker, PatientAsker, Pending, ready
from proxy.contract import (
    NO_EXCHANGE,
    NO_TRACE,
    Exchange,
    Request,
    Response,
    Timings,
    Toolkit,
)
from proxy.current import enter
from proxy.errors import GatewayError
from proxy.http1.headers import Headers
from proxy.policies.cache.afar import Afar
from proxy.policies.cache.case import Case
from proxy.policies.cache.delivery import Delivery
from proxy.policies.cache.entry import Entry
from proxy.policies.cache.errand import Errand
from proxy.policies.cache.fetch import Fetcher
from proxy.policies.cache.flight import Carried, Flight, Landing, Reader, discard, unread
from proxy.policies.cache.key import KeyPlan
from proxy.policies.cache.reuse import NO_WISH


class Together:
    """The fetches under way of one policy, by the place that they are for.

    afar: other instances, whose fetches are waited for as well. patience: seconds that a
    request waits for another's fetch. early: how eagerly entries are fetched anew before they
    run out.
    """

    def __init__(
        self,
        toolkit: Toolkit,
        keys: KeyPlan,
        fetcher: Fetcher,
        delivery: Delivery,
        afar: Afar | None,
        patience: float,
        early: float,
    ) -> None:
        self.clock = toolkit.clock
        self._random = toolkit.random
        self._trove = toolkit.trove
        self._keys = keys
        self._afar = afar
        self._patience = patience
        self._early = early
        self._flights: dict[str, Flight] = {}
        self.spawn = toolkit.spawn
        self.fetcher = fetcher
        self.delivery = delivery

    def under_way(self, place: str) -> bool:
        """Something is being fetched for a place, for all who come meanwhile."""
        flight = self._flights.get(place)
        return flight is not None and flight.open and not flight.ticket.void

    async def join(self, place: str) -> tuple[Landing | None, Reader | None]:
        """The landing of the fetch that is under way, and the body if it is shared.

        None in place of a landing: it takes too long to be waited for.
        """
        return await self._flights[place].landed(self._patience)

    def lead(self, case: Case, asker: PatientAsker | None) -> Asked | Pending:
        """Fetch for all who come meanwhile, at once where that can be."""
        relay = _Relay(case.request.exchange)
        ask = self._keys.shared(case.request)
        ask.decisions = case.request.decisions
        ask.exchange = relay
        begun = self._begin(case, ask, relay, background=False)
        flight, errand, ask_now = begun.flight, begun.errand, case.inside.ask_now
        if asker is None or ask_now is None or errand.mark or not self.fetcher.prepare(errand):
            self.spawn(self._fly(begun, self._fetched(begun)))
            return self.led(begun)
        voyage = _Voyage(self, begun, self.clock(), asker)
        try:
            asked = ask_now(ask, voyage)
        except FAILURES as error:
            again = case.inside.again(ask, error)
            if again is None:
                landing = self.fetcher.failed(errand, error)
                flight.land(landing)
                self.over(begun)
                relay.close()
                return ready(self.delivery.first(case, landing, None))
            asked = again
        if isinstance(asked, Coroutine):
            return voyage.wait(asked)
        voyage.asked = asked
        return voyage

    def due(self, entry: Entry, now: float) -> bool:
        """An entry that is still fresh had better be fetched anew (Vattani et al., VLDB 2015)."""
        if now < entry.calm_until or not self._early:
            return False
        chance = (int.from_bytes(self._random(4), "big") + 1) / 2**32
        return -log(chance) * self._early * entry.cost >= entry.fresh_until - now

    def refresh(self, case: Case) -> None:
        """Fetch what is stored anew in the background, unless somebody does already."""
        flight = self._flights.get(case.place.key)
        if flight is not None and not flight.ticket.void:
            return
        ask = self._keys.shared(case.request)
        ask.method = "GET"
        ask.exchange = NO_EXCHANGE
        ask.timings = Timings(self.clock())
        # It goes on when the span that it belongs to has ended, and has none of its own.
        ask.trace = NO_TRACE
        ask.decisions = []
        begun = self._begin(case, ask, _Relay(NO_EXCHANGE), background=True)
        begun.left = True
        self.spawn(self._fly(begun, self._fetched(begun)))

    def _begin(self, case: Case, ask: Request, relay: _Relay, background: bool) -> _Begun:
        ticket = self._trove.begin(case.url)
        place = case.place.key
        flight = Flight(ticket, self._trove.object_limit, self._trove.reserve, background)
        self._flights[place] = flight
        mark = "" if self._afar is None else self._afar.mark
        errand = Errand(
            case.key, place, ask, case.held, NO_WISH, ticket, mark=mark, others=case.others
        )
        return _Begun(case, errand, flight, relay)

    async def led(self, begun: _Begun) -> Response:
        """What whoever began a flight waits for."""
        flight = begun.flight
        # From here on as the others do.
        flight.led = False
        try:
            landing, reader = await flight.landed()
        except asyncio.CancelledError:
            if flight.landing is not None:
                # It landed in the same moment.
                await _discard_own(flight.landing)
            raise
        finally:
            begun.leave()
        if landing is None:
            raise AssertionError("whoever began it has patience")
        return self.delivery.first(begun.case, landing, reader)

    def fly_on(self, begun: _Begun, response: Pending, asked: float) -> None:
        """Have a task wait for a response that was asked for at that moment."""
        begun.flight.cancel = None
        fetching = self.fetcher.fetched(begun.errand, response, asked)
        self.spawn(self._fly(begun, fetching, under_way=True))

    async def _fly(
        self, begun: _Begun, fetching: Coroutine[Any, Any, Landing], under_way: bool = False
    ) -> None:
        """Fetch for all who wait for a flight. Nothing is raised; they are told.

        under_way: the service has been asked already.
        """
        flight, errand = begun.flight, begun.errand
        task = asyncio.current_task()
        flight.cancel = None if task is None else task.cancel
        try:
            if flight.abandoned:
                if not under_way:
                    fetching.close()
                    return
                if task is not None:
                    task.cancel()
            try:
                landing = await fetching
            except Exception as error:
                flight.land(self.fetcher.failed(errand, error))
                return
            carried = self.fetcher.land(errand, flight, landing)
            if carried is not None:
                await self.fetcher.carry(errand, flight, carried)
            elif begun.left:
                await _discard_own(landing)
        finally:
            self.over(begun)

    async def carry(self, begun: _Begun, carried: Carried) -> None:
        """Bring a body to those who read it, once its head has landed."""
        flight = begun.flight
        task = asyncio.current_task()
        flight.cancel = None if task is None else task.cancel
        if flight.abandoned and task is not None:
            task.cancel()
        try:
            await self.fetcher.carry(begun.errand, flight, carried)
        finally:
            self.over(begun)

    def over(self, begun: _Begun) -> None:
        """Nobody joins a flight any more, and whoever waits for it is told."""
        flight, errand = begun.flight, begun.errand
        if self._afar is not None:
            self._afar.done(errand)
        if not errand.collecting:
            self._trove.end(flight.ticket)
        if self._flights.get(errand.place) is flight:
            del self._flights[errand.place]
        if flight.landing is None:
            broken = GatewayError("upstream_closed", cause="the fetch was broken off")
            flight.land(Landing(error=broken))

    async def _fetched(self, begun: _Begun) -> Landing:
        """What another instance has fetched, or is fetching; else what the service answers."""
        case, errand = begun.case, begun.errand
        if self._afar is not None and errand.mark:
            if case.record is not None:
                recalled: Landing | None = self._afar.landing(case.record)
            else:
                recalled = await self._afar.turn(case, errand)
            if recalled is not None:
                errand.recalled = True
                return recalled
        return await self.fetcher.fetch(case.inside.ask, errand)


class _Begun:
    """A flight with what belongs to it. relay: the exchange of whoever began it. left: nobody who
    began it waits for it any more."""

    __slots__ = ("case", "errand", "flight", "left", "relay")

    def __init__(self, case: Case, errand: Errand, flight: Flight, relay: _Relay) -> None:
        self.case = case
        self.errand = errand
        self.flight = flight
        self.relay = relay
        self.left = False

    def leave(self) -> None:
        """Whoever began it has its answer, or wants none any more."""
        self.left = True
        self.relay.close()
        self.case.request.endpoint = self.errand.ask.endpoint


class _Voyage:
    """A flight that was asked for without a task, from there to its landing, for whoever began it.

    asked: what goes on. started: since when, in monotonic seconds.
    """

    __slots__ = ("_asker", "_begun", "_over", "_started", "_together", "asked", "interim")

    def __init__(
        self, together: Together, begun: _Begun, started: float, asker: PatientAsker
    ) -> None:
        self._together = together
        self._begun = begun
        self._started = started
        self._asker: PatientAsker | None = asker
        self._over = False
        self.asked: Asked | None = None
        self.interim = begun.relay.interim
        begun.flight.led = True
        begun.flight.cancel = self._break_off

    def answered(self, response: Response) -> None:
        """The service answered."""
        enter(self._begun.case.request)
        # Each would keep the other alive until the garbage collector came by.
        self._over, self.asked = True, None
        errand, fetcher = self._begun.errand, self._together.fetcher
        # What storing takes is not the service's time.
        errand.ask.timings.first_byte = self._together.clock()
        try:
            landing = fetcher.judged(errand, response, self._started)
        except Exception as error:
            landing = fetcher.failed(errand, error)
        if unread(landing, response):
            self._together.spawn(discard(response))
        self._land(landing, True)

    def failed(self, error: BaseException) -> None:
        """It didn't."""
        if self._over:
            return
        enter(self._begun.case.request)
        self._stop("abandoned")
        errand = self._begun.errand
        again = self._begun.case.inside.again(errand.ask, error)
        if again is not None:
            self._delay(again, False)
        else:
            self._land(self._together.fetcher.failed(errand, error), False)

    def delayed(self, waiting: Pending, answered: bool) -> None:
        """It may, after more than could be done at once."""
        self._over, self.asked = True, None
        self._delay(waiting, answered)

    def abort(self, reason: str, asker: Asker | None = None) -> None:
        """Whoever began it wants no answer any more; others may."""
        if self._asker is not None:
            self._asker = None
            self._begun.leave()
            self._begun.flight.desert()

    def wait(self, waiting: Pending) -> Pending:
        """Go on by a task; what whoever began it waits for."""
        self._over, self._asker = True, None
        self._together.fly_on(self._begun, waiting, self._started)
        return self._together.led(self._begun)

    def _delay(self, waiting: Pending, answered: bool) -> None:
        asker, self._asker = self._asker, None
        self._together.fly_on(self._begun, waiting, self._started)
        if asker is not None:
            asker.delayed(self._together.led(self._begun), answered)

    def _land(self, landing: Landing, answered: bool) -> None:
        """Tell everybody."""
        begun, together, asker = self._begun, self._together, self._asker
        flight, self._asker = begun.flight, None
        carried = together.fetcher.land(begun.errand, flight, landing)
        reader = flight.reader() if carried is not None and asker is not None else None
        flight.led, flight.cancel = False, None
        if carried is not None:
            together.spawn(together.carry(begun, carried))
        else:
            together.over(begun)
            if asker is None:
                together.spawn(_discard_own(landing))
        if asker is None:
            return
        begun.leave()
        try:
            response = together.delivery.first(begun.case, landing, reader)
        except FAILURES as error:
            asker.failed(error)
        else:
            if answered:
                asker.answered(response)
            else:
                asker.delayed(ready(response), False)

    def _break_off(self) -> None:
        """Nobody waits for it any more."""
        if not self._over:
            self._stop("cancelled")
            self._together.over(self._begun)

    def _stop(self, reason: str) -> None:
        asked, self.asked = self.asked, None
        self._over = True
        if asked is not None:
            asked.abort(reason, self)


async def _discard_own(landing: Landing) -> None:
    """Whoever began it, who alone could have read its response, has gone."""
    if landing.response is not None and not landing.shared:
        await discard(landing.response)


class _Relay:
    """The client's side of the exchange, for as long as it waits for the answer itself."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def close(self) -> None:
        """It waits no more; its connection may be at another request."""
        self._exchange = NO_EXCHANGE

    def interim(self, status: int, headers: Headers) -> None:
        """Pass on an interim response; none is stored or shared."""
        self._exchange.interim(status, headers)

    @property
    def expects_continue(self) -> bool:
        """A request that is shared has no body."""
        return False

    def defer_continue(self, seconds: float) -> None:
        """There is none to be deferred."""

    def at_end(self, call: Callable[[], None]) -> None:
        """What is shared goes on without this client."""
