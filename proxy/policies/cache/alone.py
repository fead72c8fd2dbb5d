"""Requests that have the service asked for themselves alone, and what comes of that.

May live here: what an answer means to the request that it is for, and to what is stored.
Must not live here: which request goes alone (`policy`), or whether an answer is kept
(`fetch`).
"""

from __future__ import annotations

from typing import NamedTuple

from proxy.asking import Asked, Inside, PatientAsker, Pending, ask_through
from proxy.contract import Request, Response, Toolkit
from proxy.policies.cache.afar import Afar
from proxy.policies.cache.answer import aged, whole
from proxy.policies.cache.case import Case
from proxy.policies.cache.control import control_of
from proxy.policies.cache.delivery import Delivery
from proxy.policies.cache.errand import Errand
from proxy.policies.cache.fetch import Fetcher
from proxy.policies.cache.flight import Landing, discard, unread
from proxy.policies.cache.freshness import explicit_lifetime
from proxy.policies.cache.invalidation import outdated, resolve
from proxy.policies.cache.key import KeyPlan
from proxy.policies.cache.reuse import NO_WISH
from proxy.policies.cache.shelf import Place
from proxy.policies.cache.status import show_forward


class Trip(NamedTuple):
    """One request on its way. asked: when it went, in monotonic seconds."""

    case: Case
    errand: Errand
    asked: float


class Alone:
    """Asks for a GET or HEAD, whatever others ask for. An `Around` of each GET."""

    def __init__(
        self, toolkit: Toolkit, keys: KeyPlan, fetcher: Fetcher, delivery: Delivery,
        afar: Afar | None,
    ) -> None:  # fmt: skip
        self._clock = toolkit.clock
        self._trove = toolkit.trove
        self._keys = keys
        self._fetcher = fetcher
        self._delivery = delivery
        self._afar = afar
        self._heads = _Heads(self, toolkit, fetcher, delivery)

    def ask(self, case: Case, asker: PatientAsker | None) -> Asked | Pending:
        """Ask, at once where that can be."""
        errand = self.errand(case)
        trip = Trip(case, errand, self._clock())
        if case.request.method == "HEAD":
            return ask_through(self._heads, trip, case.inside, errand.ask, asker)
        if self._fetcher.prepare(errand):
            return ask_through(self, trip, case.inside, errand.ask, asker)
        return self._ask_more(trip)

    def answered(self, ticket: Trip, request: Request, response: Response) -> Response | Pending:
        """The service answered."""
        case, errand, asked = ticket
        # What storing takes is not the service's time.
        request.timings.first_byte = self._clock()
        try:
            landing = self._fetcher.judged(errand, response, asked)
            self._fetcher.collect(errand, landing)
        finally:
            self.done(case, errand)
        first = self._delivery.first(case, landing, None)
        return _after(response, first) if unread(landing, response) else first

    def failed(self, ticket: Trip, request: Request, error: BaseException) -> Response:
        """It didn't."""
        self.done(ticket.case, ticket.errand)
        if not isinstance(error, Exception):
            raise error
        landing = self._fetcher.failed(ticket.errand, error)
        return self._delivery.first(ticket.case, landing, None)

    async def _ask_more(self, trip: Trip) -> Response:
        """Where it may take more than asking once."""
        case, errand, _ = trip
        try:
            landing: Landing = await self._fetcher.fetch_more(case.inside.ask, errand)
            self._fetcher.collect(errand, landing)
        except BaseException as error:
            return self.failed(trip, errand.ask, error)
        self.done(case, errand)
        return self._delivery.first(case, landing, None)

    def errand(self, case: Case) -> Errand:
        """What is asked for a request; give it back by `done`."""
        ask = self._keys.shared(case.request)
        ask.decisions = case.request.decisions
        ticket = self._trove.begin(case.url)
        mark = "" if self._afar is None else self._afar.mark
        return Errand(
            case.key, case.place.key, ask, case.held, case.wish, ticket, case.wish.keep, mark,
            case.others,
        )  # fmt: skip

    def done(self, case: Case | None, errand: Errand) -> None:
        """Nothing more is asked for it. case: of the request that is told where it was."""
        if case is not None:
            case.request.endpoint = errand.ask.endpoint
        if not errand.collecting:
            self._trove.end(errand.ticket)


class _Heads:
    """An `Around` of each HEAD."""

    def __init__(
        self, alone: Alone, toolkit: Toolkit, fetcher: Fetcher, delivery: Delivery
    ) -> None:
        self._alone = alone
        self._clock = toolkit.clock
        self._fetcher = fetcher
        self._delivery = delivery

    def answered(self, ticket: Trip, request: Request, response: Response) -> Response:
        """It may say that what is stored is, or isn't, what a GET would bring."""
        case, errand, _ = ticket
        try:
            entry = self._fetcher.head(errand, response)
        finally:
            self._alone.done(case, errand)
        if entry is not None:
            response = whole(entry, aged(entry, self._clock()), "HEAD")
        return self._delivery.told(case.request, response, "miss", show_forward(case.reason))

    def failed(self, ticket: Trip, request: Request, error: BaseException) -> Response:
        """It says nothing."""
        self._alone.done(ticket.case, ticket.errand)
        raise error


class Passing:
    """An `Around` of requests that the cache has no part in."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def answered(self, ticket: None, request: Request, response: Response) -> Response:
        """Only that is told."""
        return self._delivery.told(request, response, "bypass", show_forward("bypass"))

    def failed(self, ticket: None, request: Request, error: BaseException) -> Response:
        """So is nothing."""
        raise error


class Changing:
    """An `Around` of other methods: what may have changed something makes what is stored
    outdated."""

    def __init__(
        self, toolkit: Toolkit, keys: KeyPlan, fetcher: Fetcher, delivery: Delivery, alone: Alone
    ) -> None:
        self._clock = toolkit.clock
        self._trove = toolkit.trove
        self._keys = keys
        self._fetcher = fetcher
        self._delivery = delivery
        self._alone = alone

    def ask(
        self, request: Request, url: str, inside: Inside, asker: PatientAsker | None
    ) -> Asked | Pending:
        """Ask, at once where that can be."""
        return ask_through(self, (url, inside, self._clock()), inside, request, asker)

    def answered(
        self, ticket: tuple[str, Inside, float], request: Request, response: Response
    ) -> Response:
        """It was carried out, or not."""
        url, inside, asked = ticket
        self._trove.forget([self._keys.normal(each) for each in outdated(request, response, url)])
        if request.method == "POST" and self._keys.plain(request) and _is_of(response, url):
            key = self._keys.key(request, url)
            case = Case(request, inside, url, key, Place(key, None), NO_WISH, None, "method")
            errand = self._alone.errand(case)
            landing = self._fetcher.judged(errand, response, asked)
            self._fetcher.collect(errand, landing)
            self._alone.done(None, errand)
        return self._delivery.told(request, response, "bypass", show_forward("method"))

    def failed(
        self, ticket: tuple[str, Inside, float], request: Request, error: BaseException
    ) -> Response:
        """Nobody knows."""
        raise error


async def _after(unread: Response, response: Response) -> Response:
    await discard(unread)
    return response


def _is_of(response: Response, url: str) -> bool:
    """The response to a POST is what a GET of the same URL would bring (RFC 9110, 9.3.3)."""
    reference = response.headers.get("content-location")
    return (
        response.status == 200
        and reference is not None
        and resolve(url, reference) == url
        and explicit_lifetime(response.headers, control_of(response.headers), 0.0) is not None
    )
