"""The cache as a policy: which way a request takes.

May live here: the ways and their order. Must not live here: the rules (`freshness`,
`storing`, `reuse`, `vary`, `key`, `invalidation`), how an answer is fetched (`fetch`,
`together`), what is told of it (`delivery`).

It stands inside whatever refuses requests or shapes responses for each client, and outside
whatever is only about reaching the service.
"""

from __future__ import annotations

from typing import Final

import orjson

from proxy.asking import Asked, Asking, Inside, PatientAsker, Pending, ask_through, pending, ready
from proxy.contract import Decision, Handler, PolicySpec, Request, Response, Toolkit
from proxy.errors import GatewayError
from proxy.http1.headers import Headers
from proxy.http1.networks import Networks, range_of
from proxy.policies.cache.afar import Afar
from proxy.policies.cache.alone import Alone, Changing, Passing
from proxy.policies.cache.case import Case, completes, plain, shareable
from proxy.policies.cache.counts import Counts
from proxy.policies.cache.delivery import Delivery
from proxy.policies.cache.entry import Entry
from proxy.policies.cache.fetch import Fetcher
from proxy.policies.cache.hits import Hits
from proxy.policies.cache.key import KeyPlan, zone_of
from proxy.policies.cache.options import Options
from proxy.policies.cache.reuse import judge
from proxy.policies.cache.shadow import ShadowCache
from proxy.policies.cache.shelf import Shelf
from proxy.policies.cache.storing import Storing
from proxy.policies.cache.together import Together
from proxy.policies.cache.wishes import Wishes

# Conditions that only the service may judge (RFC 9111, 4.3.2).
_FOR_THE_ORIGIN: Final = frozenset({"if-match", "if-unmodified-since"})
_ATTEMPTS: Final = 2


class Cache:
    """Answers from what is stored, or fetches and stores."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._clock = toolkit.clock
        self._trove = toolkit.trove
        self._wishes = Wishes(options)
        self._purgers = Networks(map(range_of, options.purge_method))
        self._keys = KeyPlan(options.key, zone_of(toolkit.identity, toolkit.target.name))
        self._url, self._key = self._keys.url, self._keys.key
        counts = Counts(toolkit.metrics, toolkit.route)
        self._shelf = Shelf(toolkit.trove, options.variants)
        patience, early = options.coalesce.timeout, options.early_refresh
        self._afar: Afar | None = None
        if toolkit.depot is not None:
            self._afar = Afar(toolkit.depot, self._shelf, toolkit, patience, early)
        fetcher = Fetcher(self._shelf, Storing(options), counts, toolkit, options, self._afar)
        self._delivery = Delivery(toolkit, self._shelf, counts, options.status)
        hits = Hits(toolkit, self._keys, self._shelf, counts, self._delivery, options.status)
        self.answer = hits.answer
        self._together = Together(
            toolkit, self._keys, fetcher, self._delivery, self._afar, patience, early
        )
        self._alone = Alone(toolkit, self._keys, fetcher, self._delivery, self._afar)
        self._passing = Passing(self._delivery)
        self._changing = Changing(toolkit, self._keys, fetcher, self._delivery, self._alone)

    def wrap(self, forward: Handler) -> Handler:
        """A handler for all that has no answer yet, which asks `forward` where it has to."""
        return Asking(self.ask, forward)

    def ask(self, request: Request, inside: Inside, asker: PatientAsker | None) -> Asked | Pending:
        """What a request gets by asking `inside` where that has to be; at once where it can be,
        for an asker."""
        if request.failure is not None or request.upgrade:
            return ready(inside.ask(request))
        if request.method not in ("GET", "HEAD"):
            url = self._url(request)
            if request.method == "PURGE" and request.client_ip in self._purgers:
                return self._purge(request, url)
            return self._changing.ask(request, url, inside, asker)
        if request.length != 0 or not request.headers.lacks(_FOR_THE_ORIGIN):
            return ask_through(self._passing, None, inside, request, asker)
        if asker is None or self._recalls(case := self._case(request, inside)):
            return self._read(request, inside)
        decided = self._decide(case)
        if isinstance(decided, Response):
            return ready(decided)
        asked = self._fetch(decided, True, asker)
        return self._read(request, inside) if asked is None else asked

    async def _read(self, request: Request, inside: Inside) -> Response:
        """The answer to a GET or HEAD, however much has to be waited for."""
        for attempt in range(_ATTEMPTS + 1):
            case = self._case(request, inside)
            if self._afar is not None and self._recalls(case):
                place, record = await self._afar.recall(case)
                case = case._replace(place=place, record=record)
            decided = self._decide(case)
            if isinstance(decided, Response):
                return decided
            case = decided
            asked = self._fetch(case, attempt < _ATTEMPTS, None)
            if asked is not None:
                return await pending(asked)
            landing, reader = await self._together.join(case.place.key)
            if landing is None:
                return await pending(self._alone.ask(case, None))
            response = await self._delivery.follow(case, landing, reader)
            # Else the one that was waited for is for others.
            if response is not None:
                return response
        raise AssertionError("who goes alone comes back with an answer")

    def _case(self, request: Request, inside: Inside) -> Case:
        url = self._url(request)
        key = self._key(request, url)
        place = self._shelf.place(key, request.headers)
        return Case(request, inside, url, key, place, self._wishes.of(request), None, "uri-miss")

    def _recalls(self, case: Case) -> bool:
        """Other instances are asked first."""
        afar = self._afar
        return (
            afar is not None and afar.worth(case) and not self._together.under_way(case.place.key)
        )

    def _decide(self, case: Case) -> Case | Response:
        """The answer to a GET or HEAD from what is here; else what is to be fetched."""
        request, wish, place = case.request, case.wish, case.place
        entry = place.item if isinstance(place.item, Entry) else None
        if entry is None and place.differs:
            others = self._shelf.others(case.key) if plain(request, wish) else ()
            case = case._replace(reason="vary-miss", others=others)
        elif entry is not None:
            case = case._replace(held=entry, reason="stale")
            now = self._clock()
            use = judge(entry, wish, now)
            if use == "validate":
                if now < entry.fresh_until:
                    case = case._replace(reason="request")
            else:
                response = self._delivery.stored(request, entry, now)
                if response is not None:
                    if use == "stale_while" or self._together.due(entry, now):
                        self._together.refresh(case)
                    return response
                case = case._replace(reason="partial")
            if entry.span is not None and not completes(request, entry, use):
                case = case._replace(held=None)
        if wish.only_stored:
            raise GatewayError("not_stored")
        return case

    def _fetch(self, case: Case, share: bool, asker: PatientAsker | None) -> Asked | Pending | None:
        """Have the service asked; None when it has been already, for another request.

        share: what is fetched may be for others as well.
        """
        if case.request.method == "HEAD" or not share or not shareable(case, self._clock()):
            return self._alone.ask(case, asker)
        if self._together.under_way(case.place.key):
            return None
        return self._together.lead(case, asker)

    async def _purge(self, request: Request, url: str) -> Response:
        count = await self._trove.purge_url(url)
        request.decisions.append(Decision("cache", "answered", "purge"))
        headers = Headers([(b"Content-Type", b"application/json")])
        return Response(200, headers, orjson.dumps({"purged": count}))


def build(options: Options, toolkit: Toolkit) -> Cache | ShadowCache:
    """The policy in the mode that its options say."""
    return (ShadowCache if options.mode == "shadow" else Cache)(options, toolkit)


POLICY = PolicySpec(
    "cache",
    Options,
    build,
    after={"authenticate", "error_envelope", "rate_limit", "redirect", "respond", "validate"},
    before={"rewrite"},
    shorthand="ttl",
)
