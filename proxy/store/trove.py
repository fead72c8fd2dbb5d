"""Objects in the memory of one process under a bound of bytes, to be found and purged.

May live here: which objects there are, by key, URL and tag, and which leave when. Must not
live here: what they are (see `policies/cache`), or which ones deserve to stay (`s3fifo`).
Each worker has a trove of its own; what is purged in one is purged in all by whoever asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from proxy.contract import Counter, Kept, Metrics, Ticket
from proxy.control.line import Colleagues
from proxy.store.purge import Purge
from proxy.store.s3fifo import S3Fifo

# Objects looked at in one go, so that a purge of many holds up no request for long.
_STRIDE: Final = 2000
# What may be held for fetches under way, as a share of the bound.
_FETCHING_SHARE: Final = 0.5
_FETCHING_MIN: Final = 8 * 1024 * 1024


class Sharing(Protocol):
    """What other instances share with this one."""

    async def spread(self, purge: Purge, name: str) -> bool:
        """Have all instances purge, once for each name; False if that comes later."""
        ...

    def forget(self, urls: Sequence[str]) -> None:
        """Have all instances purge some URLs, as far as anything is shared of them."""
        ...


class Trove:
    """A bounded memory. limit: bytes of all objects together. object_limit: bytes of one.

    find: the object of a key, or None. metrics: where it counts, if anywhere. colleagues: other
    processes with a trove each, which are to forget what this one does. depot: other instances,
    which are to as well; None for nobody.
    """

    def __init__(
        self,
        limit: int,
        object_limit: int,
        metrics: Metrics | None,
        colleagues: Colleagues | None = None,
    ) -> None:
        self._objects: S3Fifo[Kept] = S3Fifo(limit, self._evicted)
        self._urls: dict[str, tuple[str, ...]] = {}
        self._tags: dict[str, dict[str, None]] = {}
        self._tickets: dict[str, list[Ticket]] = {}
        self._fetching = 0
        self._metrics = metrics
        self._colleagues = colleagues
        self.depot: Sharing | None = None
        self._removals: dict[str, Counter] = {}
        if metrics is not None:
            self._count = metrics.gauge("sidegate_cache_objects", "Objects in the cache's memory.")
            self._bytes = metrics.gauge("sidegate_cache_bytes", "Bytes in the cache's memory.")
            self._limit = metrics.gauge(
                "sidegate_cache_limit_bytes", "Most bytes in the cache's memory."
            )
        self.find: Callable[[str], Kept | None] = self._objects.find
        self.removed: dict[str, int] = {}
        self.object_limit = object_limit
        self.resize(limit, object_limit)

    def __len__(self) -> int:
        return len(self._objects)

    def put(self, item: Kept) -> bool:
        """Keep an object, in place of one of the same key; False when it is too heavy."""
        present = self._objects.find(item.key)
        if present is not None:
            self._unlist(present)
            self._note("replaced")
        self._list(item)
        kept = self._objects.put(item)
        if not kept and self._objects.find(item.key) is None:
            self._unlist(item)
        self._told()
        return kept

    def remove(self, key: str, reason: str) -> None:
        """Let go of an object; `reason` labels a metric."""
        item = self._objects.remove(key)
        if item is not None:
            self._unlist(item)
            self._note(reason)
            self._told()

    def forget(self, urls: Sequence[str]) -> None:
        """Let go of all objects of some URLs, here, in other processes and in other instances,
        and void the tickets for them."""
        self.forgotten(urls)
        if self._colleagues is not None and urls:
            self._colleagues.tell_others("forget", tuple(urls))
        if self.depot is not None:
            self.depot.forget(urls)

    def forgotten(self, urls: Sequence[str]) -> None:
        """As `forget`, in this process alone."""
        for url in urls:
            for ticket in self._tickets.get(url, ()):
                ticket.void = True
            for key in self._urls.get(url, ()):
                self.remove(key, "invalidated")

    def begin(self, url: str) -> Ticket:
        """Something is about to be fetched for a URL."""
        ticket = Ticket(url)
        self._tickets.setdefault(url, []).append(ticket)
        return ticket

    def end(self, ticket: Ticket) -> None:
        """The fetch of a ticket is over."""
        tickets = self._tickets.get(ticket.url, [])
        if ticket in tickets:
            tickets.remove(ticket)
        if not tickets:
            self._tickets.pop(ticket.url, None)

    def reserve(self, size: int) -> bool:
        """Count bytes that are held for a fetch under way, negative when they are let go.

        False when there are too many already; then they aren't counted.
        """
        bound = max(_FETCHING_MIN, self._objects.limit * _FETCHING_SHARE)
        if size > 0 and self._fetching + size > bound:
            return False
        self._fetching += size
        return True

    def resize(self, limit: int, object_limit: int) -> None:
        """Other bounds; what is too much leaves at once."""
        self.object_limit = min(object_limit, limit)
        self._objects.resize(limit)
        self._told()

    def phantom(self) -> Trove:
        """Another one of the same bounds, which counts in no metric: for what only seems kept."""
        return Trove(self._objects.limit, self.object_limit, None)

    async def purge_url(self, url: str) -> int:
        """Let go of a URL's objects in either scheme, everywhere; how many went in this
        instance."""
        purge = Purge("url", url[url.index("//") :])
        if self._colleagues is None:
            count = await self.purge(purge)
        else:
            counts = await self._colleagues.ask_all("purge", (purge, ""))
            count = sum(count for count, _ in counts)
        if self.depot is not None:
            await self.depot.spread(purge, "")
        return count

    async def purge_all(self, purge: Purge, name: str) -> tuple[int, bool | None]:
        """As `purge`, and whether other instances do so now, later, or there are none (None).

        name: the same for all processes that are asked this; empty if others are not to.
        """
        count = await self.purge(purge)
        if self.depot is None or not name:
            return count, None
        return count, await self.depot.spread(purge, name)

    async def purge(self, purge: Purge) -> int:
        """Remove or spoil what is meant; how many objects that were."""
        self._void(purge)
        count = 0
        for number, key in enumerate(self._meant(purge), 1):
            if number % _STRIDE == 0:
                await asyncio.sleep(0)
            item = self._objects.find(key)
            if item is None or not purge.selects(item.url, item.tags):
                continue
            count += not item.mark
            if purge.soft:
                item.spoil()
            else:
                self.remove(key, "purged")
        return count

    def facts(self) -> dict[str, Any]:
        """What the admin API tells of it."""
        return {
            "objects": len(self._objects),
            "bytes": self._objects.weight,
            "limit_bytes": self._objects.limit,
            "fetching_bytes": self._fetching,
            "removed": dict(self.removed),
        }

    def _meant(self, purge: Purge) -> Iterator[str]:
        """Keys of objects that may be meant; a snapshot, so that they may go meanwhile."""
        if purge.kind == "tag":
            yield from list(self._tags.get(purge.text, ()))
        elif purge.urls:
            for url in purge.urls:
                yield from self._urls.get(url, ())
        else:
            yield from [item.key for item in self._objects.values()]

    def _void(self, purge: Purge) -> None:
        for url, tickets in self._tickets.items():
            # Which tags an answer has isn't known before it is there.
            if purge.kind == "tag" or purge.selects(url, ()):
                for ticket in tickets:
                    ticket.void = True

    def _evicted(self, item: Kept) -> None:
        self._unlist(item)
        self._note("capacity")

    def _list(self, item: Kept) -> None:
        self._urls[item.url] = (*self._urls.get(item.url, ()), item.key)
        for tag in item.tags:
            self._tags.setdefault(tag, {})[item.key] = None

    def _unlist(self, item: Kept) -> None:
        left = tuple(key for key in self._urls.get(item.url, ()) if key != item.key)
        if left:
            self._urls[item.url] = left
        else:
            self._urls.pop(item.url, None)
        for tag in item.tags:
            keys = self._tags.get(tag)
            if keys is not None:
                keys.pop(item.key, None)
                if not keys:
                    del self._tags[tag]

    def _note(self, reason: str) -> None:
        self.removed[reason] = self.removed.get(reason, 0) + 1
        if self._metrics is None:
            return
        counter = self._removals.get(reason)
        if counter is None:
            counter = self._removals[reason] = self._metrics.counter(
                "sidegate_cache_removals_total",
                "Objects that left the cache's memory, by why.",
                reason=reason,
            )
        counter.inc()

    def _told(self) -> None:
        if self._metrics is not None:
            self._count.set(len(self._objects))
            self._bytes.set(self._objects.weight)
            self._limit.set(self._objects.limit)
