"""Asks the service, judges what it answers, and keeps what may be kept.

May live here: what one fetch comes to. Must not live here: who waits for it (`flight`), or
what a client gets of it (`policy`).
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Final

from proxy.contract import BodyStream, Handler, Response, Toolkit
from proxy.errors import GatewayError
from proxy.http1.byte_range import Span
from proxy.http1.date import show_date
from proxy.http1.headers import Headers
from proxy.policies.cache.afar import Afar
from proxy.policies.cache.collect import Collected, Finished, continued
from proxy.policies.cache.counts import Counts
from proxy.policies.cache.entry import Entry, Pieces, stored_fields
from proxy.policies.cache.errand import Errand
from proxy.policies.cache.flight import Carried, Flight, Landing, When, discard, unread
from proxy.policies.cache.options import Options
from proxy.policies.cache.parts import Told, follows, joined, read_part
from proxy.policies.cache.reuse import usable_on_error
from proxy.policies.cache.shelf import Shelf, variant_key
from proxy.policies.cache.storing import Storing, Terms
from proxy.policies.cache.validation import (
    ask_for_other,
    ask_for_rest,
    describes,
    make_conditional,
    renewed,
    selected,
)

# Answers that say that the service fails (RFC 5861, 4).
_FAILURES: Final = frozenset({500, 502, 503, 504})
# A larger body is kept in pieces, and sent piece by piece.
_ONE_PIECE: Final = 64 * 1024


class Fetcher:
    """Fetches for one policy. afar: the other instances, which are told of what is stored."""

    def __init__(
        self,
        shelf: Shelf,
        storing: Storing,
        counts: Counts,
        toolkit: Toolkit,
        options: Options,
        afar: Afar | None,
    ) -> None:
        self._shelf = shelf
        self._afar = afar
        self._storing = storing
        self._counts = counts
        self._clock = toolkit.clock
        self._wall = toolkit.wall
        self._random = toolkit.random
        self._trove = toolkit.trove
        self._memory = options.coalesce.memory
        self._jitter = options.jitter
        self._early = options.early_refresh

    async def fetch(self, forward: Handler, errand: Errand) -> Landing:
        """Ask, and tell what came of it. Raises what forwarding raises.

        A response whose body is still to come is given with the terms on which it may be
        stored; `collect` or a flight then does so.
        """
        if self.prepare(errand):
            return await self.fetched(errand, forward(errand.ask), self._clock())
        return await self.fetch_more(forward, errand)

    def prepare(self, errand: Errand) -> bool:
        """Whether asking once brings the answer; what is held may then be validated by it."""
        held = errand.held
        if held is None or held.span is not None:
            return held is None and not errand.others
        make_conditional(errand.ask, held)
        return True

    async def fetched(self, errand: Errand, response: Awaitable[Response], asked: float) -> Landing:
        """What a response comes to that is asked for since `asked`, in monotonic seconds."""
        came = await response
        landing = self.judged(errand, came, asked)
        if unread(landing, came):
            await discard(came)
        return landing

    async def fetch_more(self, forward: Handler, errand: Errand) -> Landing:
        """As `fetch`, where it may take more than asking once."""
        if errand.held is not None:
            return await self._fetch_rest(forward, errand, errand.held)
        return await self._fetch_variant(forward, errand)

    def failed(self, errand: Errand, error: BaseException) -> Landing:
        """What a fetch that raised comes to: a stale response, or the error."""
        held = errand.held
        upstream = isinstance(error, GatewayError) and error.fault == "upstream"
        if upstream and held is not None and self._usable(errand, held):
            return Landing(entry=held, stale="stale-if-error")
        return Landing(error=error)

    def collect(self, errand: Errand, landing: Landing) -> None:
        """Have the body of a landing's response stored as it is read."""
        response, terms, when = landing.response, landing.terms, landing.when
        if response is None or terms is None or when is None:
            return
        if isinstance(response.body, bytes):
            return
        headers = response.headers.copy()
        finished = partial(
            self._collected, errand, response.status, headers, response.length, terms, when
        )
        response.body = self._collecting(errand, response.body, finished)

    def land(self, errand: Errand, flight: Flight, landing: Landing) -> Carried | None:
        """Tell all who wait for a flight; a body that is still to be carried to them."""
        response, terms, when = landing.response, landing.terms, landing.when
        if response is None or terms is None or when is None or isinstance(response.body, bytes):
            flight.land(landing)
            return None
        if terms.validate or terms.age >= terms.lifetime:
            self.collect(errand, landing)
            flight.land(landing)
            return None
        headers = response.headers.copy()
        landing.shared = True
        landing.fields = headers
        landing.place = variant_key(errand.key, terms.vary, errand.ask.headers)
        self._shelf.announce(errand.key, errand.ticket.url, terms.vary)
        finished = partial(
            self._collected, errand, response.status, headers, response.length, terms, when
        )
        # Whoever is given the response reads it from the flight instead.
        carried = Carried(response.body, finished)
        flight.land(landing)
        return carried

    async def carry(self, errand: Errand, flight: Flight, carried: Carried) -> None:
        """Bring a body to all who read it from a flight, and keep it."""
        body, finished = carried
        try:
            async for piece in body:
                await flight.feed(piece)
        except GatewayError as error:
            pieces = list(flight.pieces()) if flight.open else []
            flight.finish(error)
            finished(pieces, False)
            return
        except BaseException:
            flight.finish(GatewayError("upstream_closed", cause="the fetch was broken off"))
            await body.aclose()
            raise
        pieces, whole = list(flight.pieces()), flight.open
        flight.finish()
        if whole:
            finished(pieces, True)
        else:
            self._unshared(errand)

    def head(self, errand: Errand, response: Response) -> Entry | None:
        """Take in the answer to a HEAD (RFC 9111, 4.3.5); the entry, if it is what it is of."""
        held = errand.held
        if held is None or response.status != 200:
            return None
        if not describes(held, response):
            held.spoil()
            return None
        return self._renew(errand, held, response.headers, self._clock()).entry

    def judged(self, errand: Errand, response: Response, asked: float) -> Landing:
        """What a response comes to. What is `unread` then has to be discarded."""
        held, status = errand.held, response.status
        if held is not None and status == 304 and held.span is None:
            return self._renew(errand, held, response.headers, asked)
        if held is not None and status in _FAILURES and self._usable(errand, held):
            return Landing(entry=held, stale="stale-if-error", status=status)
        when = self._when(asked)
        if status == 206:
            return self._part(errand, response, when)
        terms = self._storing.judge(errand.ask, response, when.wall - when.taken, when.wall)
        limit = self._trove.object_limit
        if errand.ticket.void:
            terms = "purged"
        elif not errand.keep:
            terms = "request"
        elif not isinstance(terms, str) and (response.length or 0) > limit:
            terms = "too-large"
        if isinstance(terms, str):
            if status < 500 and held is not None:
                # What is stored is not what the service would answer now.
                self._shelf.remove(held.key, "replaced")
            # Requests with Authorization wait for nobody anyway; others may be answered otherwise.
            if errand.keep and status != 304 and terms != "authorization":
                self._unshared(errand)
            return Landing(response=response, status=status, why=terms)
        if not isinstance(response.body, bytes):
            return Landing(response=response, terms=terms, when=when, status=status, stored=True)
        entry = self._keep(errand, status, response.headers, response.body, terms, when)
        usable = entry is not None and self._clock() < entry.fresh_until
        return Landing(
            entry=entry if usable else None, response=response, status=status,
            stored=entry is not None, why="" if entry is not None else "too-large",
        )  # fmt: skip

    async def _fetch_rest(self, forward: Handler, errand: Errand, held: Entry) -> Landing:
        """Complete what is stored in part, or fetch it all when that can't be done."""
        whole = errand.ask.copy()
        ask_for_rest(errand.ask, held)
        asked = self._clock()
        response = await forward(errand.ask)
        if follows(held, response):
            merged = renewed(held.headers, response.headers, show_date(self._wall()))
            pieces = [held.body] if isinstance(held.body, bytes) else list(held.body)
            body = continued(pieces, response.body)
            errand.held = None
            complete = Response(200, merged, body, length=held.complete, origin="upstream")
            landing = self.judged(errand, complete, asked)
            landing.status = 206
            return landing
        if response.status in (206, 416):
            await discard(response)
            errand.ask = whole
            asked = self._clock()
            response = await forward(whole)
        errand.held = None
        return self.judged(errand, response, asked)

    async def _fetch_variant(self, forward: Handler, errand: Errand) -> Landing:
        """Ask for an answer of which there may be a copy, stored for other requests."""
        plain = errand.ask.copy()
        ask_for_other(errand.ask, errand.others)
        asked = self._clock()
        response = await forward(errand.ask)
        if response.status == 304:
            one = selected(errand.others, response.headers)
            if one is not None:
                return self._renew(errand, one, response.headers, asked)
            errand.ask = plain
            asked = self._clock()
            response = await forward(plain)
        return self.judged(errand, response, asked)

    def _part(self, errand: Errand, response: Response, when: When) -> Landing:
        """A part was asked for, and is kept if it says what it is a part of."""
        landing = Landing(response=response, status=206, why="partial")
        part = read_part(response)
        if part is None or not errand.keep or part.span.size > self._trove.object_limit:
            return landing
        terms = self._storing.judge(errand.ask, response, when.wall - when.taken, when.wall, True)
        if isinstance(terms, str):
            return landing
        terms = terms._replace(drop=terms.drop | {"content-range"})
        landing.stored, landing.why = True, ""
        finished = partial(self._keep_part, errand, response.headers.copy(), terms, part, when)
        if isinstance(response.body, bytes):
            finished([response.body], True)
        else:
            response.body = self._collecting(errand, response.body, finished)
        return landing

    def _keep_part(
        self,
        errand: Errand,
        headers: Headers,
        terms: Terms,
        part: Told,
        when: When,
        pieces: list[bytes],
        whole: bool,
    ) -> None:
        span, complete = part
        if not whole or sum(map(len, pieces)) != span.size:
            return
        other = self._shelf.place(errand.key, errand.ask.headers).item
        if isinstance(other, Entry) and other.complete == complete:
            if other.span is None and self._clock() < other.fresh_until:
                return
            span, pieces = joined(other, headers, span, pieces)
        all_of_it = span == Span(0, complete - 1)
        self._keep(
            errand, 200, headers, _body(pieces), terms, when,
            None if all_of_it else span, complete,
        )  # fmt: skip

    def _collected(
        self,
        errand: Errand,
        status: int,
        headers: Headers,
        length: int | None,
        terms: Terms,
        when: When,
        pieces: list[bytes],
        whole: bool,
    ) -> None:
        """A body has come to its end, or broke off."""
        size = sum(map(len, pieces))
        if whole and length in (None, size):
            self._keep(errand, status, headers, _body(pieces), terms, when)
        elif pieces and status == 200 and length is not None and "etag" in headers:
            # The rest can be asked for later, if nothing has changed by then (RFC 9111, 3.3).
            span = Span(0, size - 1)
            self._keep(errand, 200, headers, _body(pieces), terms, when, span, length)

    def _keep(
        self,
        errand: Errand,
        status: int,
        headers: Headers,
        body: bytes | Pieces,
        terms: Terms,
        when: When,
        span: Span | None = None,
        complete: int = -1,
    ) -> Entry | None:
        """Store a response; None when it is too heavy, or the URL was purged meanwhile."""
        if errand.ticket.void:
            return None
        if self._jitter and not errand.recalled:
            share = int.from_bytes(self._random(2), "big") / 65535 * self._jitter
            terms = terms._replace(lifetime=terms.lifetime * (1 - share))
        key = variant_key(errand.key, terms.vary, errand.ask.headers)
        fields = stored_fields(headers, terms.drop, show_date(when.wall))
        entry = Entry(
            key, errand.ticket.url, status, fields, body, terms, when.received, when.wall,
            when.taken, self._early, span, complete,
        )  # fmt: skip
        if not self._shelf.put(errand.key, entry, errand.ask.headers):
            return None
        if not errand.recalled:
            self._stored(errand, entry)
        return entry

    def _stored(self, errand: Errand, entry: Entry) -> None:
        self._counts.stored(entry.size)
        if self._afar is not None:
            self._afar.keep(errand, entry)

    def _renew(self, errand: Errand, held: Entry, news: Headers, asked: float) -> Landing:
        """The entry lives on with what the service said of it (RFC 9111, 4.3.4)."""
        when = self._when(asked)
        date = show_date(when.wall)
        merged = renewed(held.headers, news, date)
        again = Response(held.status, merged)
        terms = self._storing.judge(errand.ask, again, when.wall - when.taken, when.wall)
        why = terms if isinstance(terms, str) else ""
        if isinstance(terms, str):
            # It may answer this request, which the service was asked for, and no other.
            terms = held.terms._replace(lifetime=0.0, validate=True)
        key, copied = held.key, held is not errand.held
        if copied or terms.vary != held.terms.vary:
            key = variant_key(errand.key, terms.vary, errand.ask.headers)
        entry = Entry(
            key, held.url, held.status, stored_fields(merged, terms.drop, date), held.body, terms,
            when.received, when.wall, max(held.cost, when.taken), self._early,
        )  # fmt: skip
        if not copied and (why or key != held.key):
            self._shelf.remove(held.key, "replaced")
        entry.chunks = held.chunks
        if not why and not errand.ticket.void and errand.keep:
            self._shelf.put(errand.key, entry, errand.ask.headers)
            if self._afar is not None:
                self._afar.keep(errand, entry)
        return Landing(entry=entry, status=304, stored=not why, why=why)

    def _collecting(self, errand: Errand, body: BodyStream, finished: Finished) -> Collected:
        errand.collecting = True
        trove = self._trove
        over = partial(trove.end, errand.ticket)
        return Collected(body, trove.object_limit, trove.reserve, finished, over)

    def _when(self, asked: float) -> When:
        now = self._clock()
        return When(now, self._wall(), now - asked)

    def _usable(self, errand: Errand, held: Entry) -> bool:
        return held.span is None and usable_on_error(held, errand.wish, self._clock())

    def _unshared(self, errand: Errand) -> None:
        errand.unshared = self._memory
        self._shelf.mark_unshared(errand.place, errand.ticket.url, self._clock() + self._memory)


def _body(pieces: list[bytes]) -> bytes | Pieces:
    return b"".join(pieces) if sum(map(len, pieces)) <= _ONE_PIECE else tuple(pieces)
