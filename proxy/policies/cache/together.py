"""One fetch for all who ask for the same thing meanwhile, and fetches that nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import log

from proxy.contract import NO_EXCHANGE, Exchange, Request, Timings, Toolkit
from proxy.errors import GatewayError
from proxy.http1.headers import Headers
from proxy.policies.cache.afar import Afar
from proxy.policies.cache.case import Case
from proxy.policies.cache.entry import Entry
from proxy.policies.cache.errand import Errand
from proxy.policies.cache.fetch import Fetcher
from proxy.policies.cache.flight import Flight, Landing, Reader
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
        afar: Afar | None,
        patience: float,
        early: float,
    ) -> None:
        self._clock = toolkit.clock
        self._random = toolkit.random
        self._spawn = toolkit.spawn
        self._trove = toolkit.trove
        self._keys = keys
        self._fetcher = fetcher
        self._afar = afar
        self._patience = patience
        self._early = early
        self._flights: dict[str, Flight] = {}

    def under_way(self, place: str) -> bool:
        """Something is being fetched for a place, for all who come meanwhile."""
        flight = self._flights.get(place)
        return flight is not None and flight.open and not flight.ticket.void

    async def fetch(self, case: Case) -> tuple[Landing | None, Reader | None, bool]:
        """The landing of a fetch, the body if it is shared, and whether it was begun for this.

        None in place of a landing: another's fetch takes too long to be waited for.
        """
        flight = self._flights.get(case.place.key)
        if flight is not None and flight.open and not flight.ticket.void:
            return *(await flight.landed(self._patience)), False
        relay = _Relay(case.request.exchange)
        ask = self._keys.shared(case.request)
        ask.decisions = case.request.decisions
        ask.exchange = relay
        flight = self._launch(case, ask, background=False)
        try:
            return *(await flight.landed()), True
        finally:
            relay.close()
            case.request.endpoint = ask.endpoint

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
        ask.timings = Timings(self._clock())
        ask.decisions = []
        self._launch(case, ask, background=True)

    def _launch(self, case: Case, ask: Request, background: bool) -> Flight:
        ticket = self._trove.begin(case.url)
        place = case.place.key
        flight = Flight(ticket, self._trove.object_limit, self._trove.reserve, background)
        self._flights[place] = flight
        mark = "" if self._afar is None else self._afar.mark
        errand = Errand(
            case.key, place, ask, case.held, NO_WISH, ticket, mark=mark, others=case.others
        )

        async def fly() -> None:
            task = asyncio.current_task()
            flight.cancel = None if task is None else task.cancel
            try:
                if not flight.abandoned:
                    recalled = await self._recalled(case, errand)
                    await self._fetcher.fly(case.forward, errand, flight, recalled)
            finally:
                if self._afar is not None:
                    self._afar.done(errand)
                if not errand.collecting:
                    self._trove.end(ticket)
                if self._flights.get(place) is flight:
                    del self._flights[place]
                if flight.landing is None:
                    broken = GatewayError("upstream_closed", cause="the fetch was broken off")
                    flight.land(Landing(error=broken))

        self._spawn(fly())
        return flight

    async def _recalled(self, case: Case, errand: Errand) -> Landing | None:
        """What another instance has fetched, or is fetching."""
        if self._afar is None or not errand.mark:
            return None
        if case.record is not None:
            return self._afar.landing(case.record)
        return await self._afar.turn(case, errand)


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
