"""What other instances have stored: looked up before the service is asked, and written for them.

May live here: when the depot is asked and told, and how a response is put together of what it
has. Must not live here: how that is written (`record`), or where (`store`).

While a claim stands on a place, one worker of one instance fetches what belongs there; the
others look for it again and again until it is there, or the claim is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from hashlib import blake2b
from typing import Final, NamedTuple

from proxy.contract import Depot, Response, Toolkit
from proxy.errors import GatewayError
from proxy.http1.headers import Headers
from proxy.policies.cache.case import Case, plain
from proxy.policies.cache.chunks import CHUNK, Chunks, cut, packed_body, whole_of
from proxy.policies.cache.entry import Entry, Pieces, Signpost
from proxy.policies.cache.errand import Errand
from proxy.policies.cache.flight import Landing, When
from proxy.policies.cache.record import (
    Record,
    Sign,
    read,
    read_sign,
    record_of,
    unpack,
    worth_packing,
    write,
    write_sign,
)
from proxy.policies.cache.shelf import Place, Shelf
from proxy.policies.cache.storing import tags_of, validators

# A claim that says that what comes of it isn't for others.
_NOT_SHARED: Final = "-"
# How often is looked for what another instance fetches.
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.2
# What can be asked for anew is kept for so long beyond its use.
_RENEWABLE: Final = 300.0
_SIGNPOST: Final = 86400.0
_CHOICES_MAX: Final = 8


class Found(NamedTuple):
    """Where the answer to a request stands now. record: it is in chunks, and not loaded yet."""

    place: Place
    record: Record | None = None


class Afar:
    """What one policy has to do with the depot.

    patience: seconds that a request waits for another instance's fetch. early: as the
    option `early_refresh`.
    """

    def __init__(
        self, depot: Depot, shelf: Shelf, toolkit: Toolkit, patience: float, early: float
    ) -> None:
        self._depot = depot
        self._shelf = shelf
        self._clock = toolkit.clock
        self._wall = toolkit.wall
        self._random = toolkit.random
        self._spawn = toolkit.spawn
        self._patience = patience
        self._early = early
        self._asking: dict[str, asyncio.Future[Record | None]] = {}
        route = toolkit.route
        self._lookups = {
            outcome: toolkit.metrics.counter(
                "sidegate_cache_store_lookups_total",
                "Responses that were looked for in the store of all instances.",
                route=route,
                outcome=outcome,
            )
            for outcome in ("hit", "stale", "miss")
        }
        self._stores = toolkit.metrics.counter(
            "sidegate_cache_store_writes_total",
            "Responses that were written to the store of all instances.",
            route=route,
        )

    @property
    def mark(self) -> str:
        """As `Depot.mark`."""
        return self._depot.mark

    def worth(self, case: Case) -> bool:
        """Another instance may have something better than what is in a place here."""
        if case.wish.fetch or not self._depot.mark:
            return False
        item = case.place.item
        if not isinstance(item, Entry):
            return item is None
        # Of what is here in part, another may have all.
        return item.span is not None or self._clock() >= max(item.fresh_until, item.while_until)

    async def recall(self, case: Case) -> Found:
        """What there is for a request; what is whole stands in its place now."""
        asking = self._asking.get(case.place.key)
        if asking is not None:
            record = await asyncio.shield(asking)
        else:
            asking = self._asking[case.place.key] = asyncio.get_running_loop().create_future()
            record = None
            try:
                record = await self._look(case.url, case.key, case.place, case.request.headers)
            finally:
                del self._asking[case.place.key]
                asking.set_result(record)
        place = self._shelf.place(case.key, case.request.headers)
        if record is None or place.item is not None:
            return Found(place)
        if place.key != record.key or not plain(case.request, case.wish):
            await self._load(case.key, record, case.request.headers)
            return Found(self._shelf.place(case.key, case.request.headers))
        return Found(place, record)

    async def turn(self, case: Case, errand: Errand) -> Landing | None:
        """Wait until another's fetch is done, if there is one; what came of it, or None when
        it is for this one to fetch, for which `errand.claim` may stand."""
        who = self._random(8).hex()
        until = self._clock() + self._patience
        pause = _FIRST_PAUSE
        while True:
            name = _claim(case.place.key)
            holder = await self._depot.claim(case.url, name, who, max(1.0, self._patience))
            if holder == who:
                errand.claim = who
            if holder in (who, "", _NOT_SHARED) or self._clock() >= until:
                return None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            found = await self.recall(case)
            item = found.place.item
            if isinstance(item, Entry) and self._clock() < item.fresh_until:
                return Landing(entry=item, stored=True, recalled=True)
            if found.record is not None:
                return self.landing(found.record)
            case = case._replace(place=found.place)

    def landing(self, record: Record) -> Landing:
        """A response that is in chunks, as if the service sent it."""
        received = self._received(record)
        age = int(record.terms.age + self._clock() - received)
        headers = record.headers.copy()
        headers.append(b"Age", b"%d" % age)
        body = Chunks(self._depot, record)
        return Landing(
            response=Response(record.status, headers, body, length=record.size, origin="upstream"),
            terms=record.terms,
            when=When(received, record.made, record.cost),
            stored=True,
            recalled=True,
        )

    def keep(self, errand: Errand, entry: Entry) -> None:
        """Write an entry for other instances, in the background."""
        fits = entry.span is None and entry.size <= self._depot.object_limit
        if errand.mark and fits and not errand.ticket.void:
            errand.kept = True
            self._spawn(self._keep(errand, entry))

    def done(self, errand: Errand) -> None:
        """A fetch is over, and its claim with it, unless something is still being written."""
        if not errand.claim or errand.kept:
            return
        url, name = errand.ticket.url, _claim(errand.place)
        if errand.unshared:
            told = {name: _NOT_SHARED.encode()}
            self._spawn(_whatever(self._depot.put(url, told, errand.unshared)))
        else:
            self._spawn(self._depot.release(url, name, errand.claim))

    async def _look(self, url: str, key: str, place: Place, asked: Headers) -> Record | None:
        """Take over what is there for a place; the record of what is in chunks.

        What answers everybody counts where it is newer than all that answers some.
        """
        names = [_sign(key), _object(key), _object(place.key)]
        sign, common, own = await self._depot.find(url, names)
        told, found = read_sign(sign), read(common, key)
        if told is not None and (found is None or found[0].made <= told.made):
            self._learn(key, url, told)
            better = self._shelf.place(key, asked)
            if better.key != place.key:
                place = better
                [own] = await self._depot.find(url, [_object(place.key)])
            found = read(own, place.key)
        record = None if found is None else await self._take(key, place, asked, *found)
        item = self._shelf.place(key, asked).item
        fresh = record is not None or (isinstance(item, Entry) and self._clock() < item.fresh_until)
        stale = not fresh and isinstance(item, Entry) and item is not place.item
        self._lookups["hit" if fresh else "stale" if stale else "miss"].inc()
        return record

    async def _take(
        self, key: str, place: Place, asked: Headers, record: Record, body: bytes
    ) -> Record | None:
        verdict = self._depot.judge(record.mark, record.url, tags_of(record.headers))
        local = place.item
        if verdict == "gone" or (
            isinstance(local, Entry) and local.span is None and local.made >= record.made
        ):
            return None
        if not record.chunks:
            entry = self._entry(record, unpack(body, record.size) if record.packed else body)
            if entry is not None:
                self._put(key, entry, asked, verdict == "spoilt")
            return None
        lasts = self._received(record) + record.terms.lifetime - record.terms.age
        fresh = verdict == "good" and not record.terms.validate and self._clock() < lasts
        if fresh and await self._depot.holds(record.url, record.chunk_names):
            return record
        await self._load(key, record, asked, verdict == "spoilt")
        return None

    async def _load(self, key: str, record: Record, asked: Headers, spoilt: bool = False) -> None:
        """Bring what is in chunks into memory as a whole."""
        chunks = Chunks(self._depot, record)
        try:
            pieces = tuple([piece async for piece in chunks])
        except GatewayError:
            return
        entry = self._entry(record, pieces)
        if entry is not None:
            self._put(key, entry, asked, spoilt)

    def _put(self, key: str, entry: Entry, asked: Headers, spoilt: bool) -> None:
        if spoilt:
            entry.spoil()
        self._shelf.put(key, entry, asked)

    def _entry(self, record: Record, body: bytes | Pieces | None) -> Entry | None:
        if body is None:
            return None
        entry = Entry(
            record.key, record.url, record.status, record.headers, body, record.terms,
            self._received(record), record.made, record.cost, self._early,
        )  # fmt: skip
        entry.chunks = record.name
        return entry if entry.size == record.size else None

    def _received(self, record: Record) -> float:
        """When it came, by the clock of this process; those of instances may differ a little."""
        return self._clock() - max(0.0, self._wall() - record.made)

    async def _keep(self, errand: Errand, entry: Entry) -> None:
        url = entry.url
        try:
            seconds = self._seconds(entry)
            if seconds <= 0:
                return
            packed = worth_packing(entry.headers, entry.size, self._depot.compress_from)
            whole = entry.size <= CHUNK
            record: Record | None = record_of(entry, errand.mark, packed)
            if whole:
                data = await packed_body(whole_of(entry.body), packed)
            else:
                data, record = b"", await self._keep_chunks(errand.mark, entry, packed, seconds)
            if record is None or errand.ticket.void:
                return
            post = self._shelf.find(errand.key)
            if isinstance(post, Signpost):
                sign = write_sign(Sign(entry.made, post.choices))
                await self._depot.put(url, {_sign(errand.key): sign}, _SIGNPOST)
            values = {_object(entry.key): write(record, data)}
            if await self._depot.put(url, values, seconds, entry.tags):
                self._stores.inc()
        finally:
            if errand.claim:
                await self._depot.release(url, _claim(errand.place), errand.claim)

    async def _keep_chunks(
        self, mark: str, entry: Entry, packed: bool, seconds: float
    ) -> Record | None:
        """The record of an entry whose chunks are kept now; None if that failed."""
        number = -(-entry.size // CHUNK)
        if entry.chunks:
            record = record_of(entry, mark, packed, number, entry.chunks)
            if await self._depot.prolong(entry.url, record.chunk_names, seconds):
                return record
        record = record_of(entry, mark, packed, number, self._random(9).hex() + ".")
        for name, chunk in zip(record.chunk_names, cut(entry.body), strict=True):
            data = await packed_body(chunk, packed)
            if not await self._depot.put(entry.url, {name: data}, seconds):
                return None
        entry.chunks = record.name
        return record

    def _seconds(self, entry: Entry) -> float:
        """For how long an entry may be of use to anybody."""
        now = self._clock()
        used = max(0.0, max(entry.fresh_until, entry.while_until, entry.error_until) - now)
        return used + (_RENEWABLE if validators(entry.headers) else 0.0)

    def _learn(self, key: str, url: str, sign: Sign) -> None:
        """Take over which fields responses of a URL depend on."""
        present = self._shelf.find(key)
        known = present.choices if isinstance(present, Signpost) else ()
        for names in reversed(sign.choices[:_CHOICES_MAX]):
            if names not in known:
                self._shelf.announce(key, url, names)


async def _whatever(work: Awaitable[object]) -> None:
    """Await something that comes to nothing."""
    await work


def _object(place: str) -> str:
    return "o" + _digest(place)


def _sign(key: str) -> str:
    return "s" + _digest(key)


def _claim(place: str) -> str:
    return "c" + _digest(place)


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
