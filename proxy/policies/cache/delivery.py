"""What a client gets of what is stored or was fetched, and what it is told about that."""

from __future__ import annotations

from typing import Final

from proxy.contract import AHEAD, Decision, Request, Response, Toolkit
from proxy.http1.date import show_date
from proxy.http1.precondition import not_modified
from proxy.policies.cache.answer import aged, respond, ttl_of, unchanged, whole
from proxy.policies.cache.case import Case
from proxy.policies.cache.counts import OUTCOMES, Counts
from proxy.policies.cache.entry import Entry, stored_fields
from proxy.policies.cache.flight import Landing, Reader
from proxy.policies.cache.shelf import Shelf, variant_key
from proxy.policies.cache.status import show_forward, show_hit

_DECISIONS: Final = {outcome: Decision("cache", outcome) for outcome in OUTCOMES}
# Where a hit comes from that isn't in this worker's memory.
_SHARED: Final = "shared"
_BOUNDARY_BYTES: Final = 12


class Delivery:
    """Makes responses. status: they carry Cache-Status."""

    def __init__(self, toolkit: Toolkit, shelf: Shelf, counts: Counts, status: bool) -> None:
        self._clock = toolkit.clock
        self._wall = toolkit.wall
        self._random = toolkit.random
        self._shelf = shelf
        self._counts = counts
        self._status = status

    def stored(self, request: Request, entry: Entry, now: float) -> Response | None:
        """The answer from an entry that may be used; None when it has too little."""
        response = self._of(entry, request)
        if response is None:
            return None
        self._saves(request, entry.cost)
        entry.visits = min(entry.visits + 1, 3)
        outcome = "hit" if now < entry.fresh_until else "stale"
        return self.told(request, response, outcome, show_hit(ttl_of(entry, now)))

    def first(self, case: Case, landing: Landing, reader: Reader | None) -> Response:
        """The answer to whoever had the service asked. Raises what the fetch raised."""
        if landing.error is not None:
            raise landing.error
        request, response, entry = case.request, landing.response, landing.entry
        outcome = "miss"
        if response is None and entry is not None:
            response = self._of(entry, request) or whole(
                entry, aged(entry, self._clock()), request.method
            )
            outcome = "stale" if landing.stale else "revalidated"
        elif response is None:
            raise AssertionError("a fetch has to come to something")
        elif reader is not None:
            response.body = reader
        if landing.recalled:
            return self._recalled(request, response, landing)
        status = show_forward(
            case.reason,
            landing.status if landing.status != response.status else 0,
            stored=landing.stored,
            ttl=self._ttl(landing),
            detail=landing.stale or landing.why,
        )
        return self.told(request, response, outcome, status)

    async def follow(self, case: Case, landing: Landing, reader: Reader | None) -> Response | None:
        """The answer to one who waited for another's fetch; None when it isn't for it too."""
        if landing.error is not None:
            raise landing.error
        response = None
        if reader is not None:
            response = await self._shared(case, landing, reader)
        elif landing.entry is not None and (landing.stored or landing.stale):
            entry = landing.entry
            own = self._shelf.place(case.key, case.request.headers).item
            fresh = self._clock() < entry.fresh_until
            if own is entry and (fresh or landing.stale):
                response = self._of(entry, case.request)
        if response is None:
            return None
        if landing.recalled:
            return self._recalled(case.request, response, landing)
        status = show_forward(
            case.reason,
            landing.status if landing.status != response.status else 0,
            collapsed=True,
            ttl=self._ttl(landing),
            detail=landing.stale,
        )
        return self.told(case.request, response, "stale" if landing.stale else "shared", status)

    def told(self, request: Request, response: Response, outcome: str, status: bytes) -> Response:
        """The response with its Cache-Status, counted and noted by one of `OUTCOMES`."""
        if AHEAD not in request.state:
            self._counts.count(outcome)
        request.decisions.append(_DECISIONS[outcome])
        if self._status:
            response.headers.append(b"Cache-Status", status)
        return response

    def _saves(self, request: Request, seconds: float) -> None:
        """So long a fetch wasn't needed, for a client that there is."""
        if AHEAD not in request.state:
            self._counts.saved(seconds)

    def _recalled(self, request: Request, response: Response, landing: Landing) -> Response:
        """The answer is another instance's."""
        self._saves(request, landing.when.taken if landing.when is not None else 0.0)
        return self.told(request, response, "hit", show_hit(self._ttl(landing) or 0, _SHARED))

    def _of(self, entry: Entry, request: Request) -> Response | None:
        now, wall = self._clock(), self._wall()
        boundary = self._random(_BOUNDARY_BYTES).hex().encode("ascii")
        return respond(entry, aged(entry, now), request, wall, boundary)

    async def _shared(self, case: Case, landing: Landing, reader: Reader) -> Response | None:
        """The answer from a body that is on its way."""
        terms, when, fields, head = landing.terms, landing.when, landing.fields, landing.response
        asked = case.request.headers
        if terms is None or when is None or fields is None or head is None:
            return None
        if variant_key(case.key, terms.vary, asked) != landing.place:
            await reader.aclose()
            return None
        headers = stored_fields(fields, terms.drop, show_date(when.wall))
        headers.append(b"Age", b"%d" % (terms.age + self._clock() - when.received))
        if head.status == 200 and not_modified(asked, headers, when.wall, self._wall()):
            await reader.aclose()
            return unchanged(headers)
        return Response(head.status, headers, reader, length=head.length, origin="upstream")

    def _ttl(self, landing: Landing) -> int | None:
        if landing.entry is not None:
            return ttl_of(landing.entry, self._clock())
        if landing.terms is not None and landing.when is not None:
            # What was fetched has just come.
            since = self._clock() - landing.when.received if landing.recalled else 0.0
            return int(landing.terms.lifetime - landing.terms.age - since)
        return None
