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

from proxy.contract import Decision, Handler, PolicySpec, Request, Response, Toolkit
from proxy.errors import GatewayError
from proxy.http1.headers import Headers
from proxy.http1.networks import Networks, range_of
from proxy.policies.cache.afar import Afar
from proxy.policies.cache.answer import aged, render_hit, whole
from proxy.policies.cache.case import Case, completes, plain, shareable
from proxy.policies.cache.control import control_of
from proxy.policies.cache.counts import Counts
from proxy.policies.cache.delivery import Delivery
from proxy.policies.cache.entry import Entry, Signpost
from proxy.policies.cache.errand import Errand
from proxy.policies.cache.fetch import Fetcher
from proxy.policies.cache.freshness import explicit_lifetime
from proxy.policies.cache.invalidation import outdated, resolve
from proxy.policies.cache.key import KeyPlan, zone_of
from proxy.policies.cache.options import Options
from proxy.policies.cache.reuse import NO_WISH, judge
from proxy.policies.cache.shadow import ShadowCache
from proxy.policies.cache.shelf import Place, Shelf
from proxy.policies.cache.status import show_forward
from proxy.policies.cache.storing import Storing
from proxy.policies.cache.together import Together
from proxy.policies.cache.wishes import Wishes

_HIT: Final = Decision("cache", "hit")
# A request with any of these may want more of the cache than a stored response.
_BEYOND: Final = frozenset({"cache-control", "pragma", "if-match", "if-unmodified-since"})
# A request without any of these wants all of it.
_PARTICULAR: Final = _BEYOND | {"if-none-match", "if-modified-since", "range"}
# Conditions that only the service may judge (RFC 9111, 4.3.2).
_FOR_THE_ORIGIN: Final = frozenset({"if-match", "if-unmodified-since"})
_ATTEMPTS: Final = 2
_VISITS_MAX: Final = 3


class Cache:
    """Answers from what is stored, or fetches and stores."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._clock = toolkit.clock
        self._trove = toolkit.trove
        self._wishes = Wishes(options)
        self._purgers = Networks(map(range_of, options.purge_method))
        self._status = options.status
        self._keys = KeyPlan(options.key, zone_of(toolkit.identity, toolkit.target.name))
        self._url, self._key = self._keys.url, self._keys.key
        self._find = toolkit.trove.find
        self._counts = Counts(toolkit.metrics, toolkit.route)
        self._hit, self._saved = self._counts.hit, self._counts.saved
        self._shelf = Shelf(toolkit.trove, options.variants)
        patience, early = options.coalesce.timeout, options.early_refresh
        self._afar: Afar | None = None
        if toolkit.depot is not None:
            self._afar = Afar(toolkit.depot, self._shelf, toolkit, patience, early)
        self._fetcher = Fetcher(
            self._shelf, Storing(options), self._counts, toolkit, options, self._afar
        )
        self._delivery = Delivery(toolkit, self._shelf, self._counts, options.status)
        self._together = Together(toolkit, self._keys, self._fetcher, self._afar, patience, early)

    def answer(self, request: Request) -> Response | None:
        """What is stored and fresh, without waiting for anything."""
        method = request.method
        if method not in ("GET", "HEAD") or request.failure is not None or request.upgrade:
            return None
        headers = request.headers
        entry = self._find(self._key(request, self._url(request)))
        if isinstance(entry, Signpost):
            entry = self._shelf.place(entry.key, headers).item
        if (
            not isinstance(entry, Entry)
            or (now := self._clock()) >= entry.calm_until
            or request.length != 0
        ):
            return None
        if not headers.lacks(_PARTICULAR):
            return self._delivery.stored(request, entry, now) if headers.lacks(_BEYOND) else None
        if entry.visits < _VISITS_MAX:
            entry.visits += 1
        self._hit()
        self._saved(entry.cost)
        request.decisions.append(_HIT)
        return whole(entry, render_hit(entry, now, self._status), method)

    def wrap(self, forward: Handler) -> Handler:
        """A handler for all that has no answer yet, which asks `forward` where it has to."""

        async def handle(request: Request) -> Response:
            return await self._handle(request, forward)

        return handle

    async def _handle(self, request: Request, forward: Handler) -> Response:
        if request.failure is not None or request.upgrade:
            return await forward(request)
        if request.method not in ("GET", "HEAD"):
            return await self._other(request, forward)
        if request.length != 0 or not request.headers.lacks(_FOR_THE_ORIGIN):
            response = await forward(request)
            return self._delivery.told(request, response, "bypass", show_forward("bypass"))
        for attempt in range(_ATTEMPTS + 1):
            response_or_none = await self._read(request, forward, attempt < _ATTEMPTS)
            if response_or_none is not None:
                return response_or_none
        raise AssertionError("who goes alone comes back with an answer")

    async def _read(self, request: Request, forward: Handler, share: bool) -> Response | None:
        """The answer to a GET or HEAD; None if the one that was waited for is for others."""
        url = self._url(request)
        key = self._key(request, url)
        wish = self._wishes.of(request)
        place = self._shelf.place(key, request.headers)
        case = Case(request, forward, url, key, place, wish, None, "stale")
        afar = self._afar
        if afar is not None and afar.worth(case) and not self._together.under_way(place.key):
            place, record = await afar.recall(case)
            case = case._replace(place=place, record=record)
        entry = place.item if isinstance(place.item, Entry) else None
        case = case._replace(held=entry)
        if entry is None:
            case = case._replace(reason="vary-miss" if place.differs else "uri-miss")
            if place.differs and plain(request, wish):
                case = case._replace(others=self._shelf.others(key))
        else:
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
        if request.method == "HEAD":
            return await self._head(case)
        if share and shareable(case, self._clock()):
            landing, reader, first = await self._together.fetch(case)
            if landing is not None and first:
                return self._delivery.first(case, landing, reader)
            if landing is not None:
                return await self._delivery.follow(case, landing, reader)
        return await self._alone(case)

    async def _alone(self, case: Case) -> Response:
        """Have the service asked for this request, and for no other."""
        errand = self._errand(case)
        try:
            landing = await self._fetcher.fetch(case.forward, errand)
            self._fetcher.collect(errand, landing)
        except Exception as error:
            landing = self._fetcher.failed(errand, error)
        finally:
            self._done(case, errand)
        return self._delivery.first(case, landing, None)

    async def _head(self, case: Case) -> Response:
        errand = self._errand(case)
        try:
            response = await case.forward(errand.ask)
            entry = self._fetcher.head(errand, response)
        finally:
            self._done(case, errand)
        if entry is not None:
            response = whole(entry, aged(entry, self._clock()), "HEAD")
        return self._delivery.told(case.request, response, "miss", show_forward(case.reason))

    async def _other(self, request: Request, forward: Handler) -> Response:
        """Other methods: whatever may have changed something makes what is stored outdated."""
        url = self._url(request)
        if request.method == "PURGE" and request.client_ip in self._purgers:
            return await self._purge(request, url)
        asked = self._clock()
        response = await forward(request)
        self._trove.forget([self._keys.normal(each) for each in outdated(request, response, url)])
        if request.method == "POST" and self._keys.plain(request) and _is_of(response, url):
            key = self._key(request, url)
            place = Place(key, None)
            errand = self._errand(Case(request, forward, url, key, place, NO_WISH, None, "method"))
            landing = await self._fetcher.posted(errand, response, asked)
            self._fetcher.collect(errand, landing)
            self._done(None, errand)
        return self._delivery.told(request, response, "bypass", show_forward("method"))

    async def _purge(self, request: Request, url: str) -> Response:
        count = await self._trove.purge_url(url)
        request.decisions.append(Decision("cache", "answered", "purge"))
        headers = Headers([(b"Content-Type", b"application/json")])
        return Response(200, headers, orjson.dumps({"purged": count}))

    def _errand(self, case: Case) -> Errand:
        ask = self._keys.shared(case.request)
        ask.decisions = case.request.decisions
        ticket = self._trove.begin(case.url)
        mark = "" if self._afar is None else self._afar.mark
        return Errand(
            case.key, case.place.key, ask, case.held, case.wish, ticket, case.wish.keep, mark,
            case.others,
        )  # fmt: skip

    def _done(self, case: Case | None, errand: Errand) -> None:
        if case is not None:
            case.request.endpoint = errand.ask.endpoint
        if not errand.collecting:
            self._trove.end(errand.ticket)


def _is_of(response: Response, url: str) -> bool:
    """The response to a POST is what a GET of the same URL would bring (RFC 9110, 9.3.3)."""
    reference = response.headers.get("content-location")
    return (
        response.status == 200
        and reference is not None
        and resolve(url, reference) == url
        and explicit_lifetime(response.headers, control_of(response.headers), 0.0) is not None
    )


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
