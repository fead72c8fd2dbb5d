"""The store of one instance: limits counted in memory, by one worker or all of them.

May live here: keys, several quotas at once, what becomes of a lock that can't be had. Must
not live here: how anything is counted (`counting`) or found (`table`).

With several workers each look at a key is guarded by the lock of its bucket, so that their
counts are exact together. Nothing waits but for a lock, whose holder has a few microseconds
of work to do with it; see `locks` for one that is stopped meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from proxy.errors import Refused
from proxy.limits import USUAL_TERMS, Quota, Reading, Terms, Verdict
from proxy.store.counting import Clock, Concurrency, Counting, FixedWindow, Gcra, SlidingWindow, Way
from proxy.store.region import KEYS, Region
from proxy.store.stand_in import StandIn, taken_here
from proxy.store.table import NOWHERE, Place
from proxy.store.taking import Take, taking

QUOTAS_MAX: Final = 7
"""Quotas of one limiter: a digest has room for so many tags."""

# Of each limiter; a place takes some 300 bytes.
_HOMES_MAX: Final = 4096
_FIRST: Final = b"\1" + b"\0" * 7


_Known = tuple[str, tuple[Quota, ...], Terms]


class _Home(NamedTuple):
    """Where the records of one key are. lock: its address, 0 when there is none."""

    lock: int
    places: tuple[Place, ...]


class Memory:
    """A store in this instance's memory.

    clock: monotonic seconds, the same for all processes of the machine. wall: seconds since
    1970. worker: the number of this one. failed: hears of each question that found a lock
    stuck.
    """

    def __init__(
        self,
        region: Region,
        clock: Clock,
        wall: Clock,
        worker: int = 0,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self.region = region
        self.failed = failed
        self._clock = clock
        self._wall = wall
        self._worker = worker
        self._spare: Memory | None = None
        self._limiters: WeakValueDictionary[_Known, MemoryLimiter] = WeakValueDictionary()

    def limiter(
        self, identity: str, quotas: Sequence[Quota], terms: Terms = USUAL_TERMS
    ) -> MemoryLimiter:
        """A limiter of these quotas; those of equal identity share their counts."""
        if not 0 < len(quotas) <= QUOTAS_MAX:
            raise ValueError(f"a limiter has 1 to {QUOTAS_MAX} quotas")
        known = (identity, tuple(quotas), terms)
        limiter = self._limiters.get(known)
        if limiter is None:
            kind = Alone if len(quotas) == 1 and self.region.locks is None else MemoryLimiter
            limiter = self._limiters[known] = kind(self, *known)
        return limiter

    @property
    def evicted(self) -> int:
        """Keys that were forgotten before their time, since there were too many."""
        region = self.region
        return region.narrow.evicted + region.wide.evicted + region.flight.evicted

    def spare(self) -> Memory:
        """A store for questions that this one can't answer, of this worker alone."""
        if self._spare is None:
            region = Region.private(self.region.secret, KEYS)
            self._spare = Memory(region, self._clock, self._wall)
        return self._spare

    def counting(self, quota: Quota) -> Counting:
        """A quota's algorithm on this store's memory."""
        region = self.region
        match quota.algorithm:
            case "gcra":
                return Gcra(quota, region.narrow, self._clock)
            case "fixed_window":
                return FixedWindow(quota, region.narrow, self._clock, self._wall)
            case "sliding_window":
                return SlidingWindow(quota, region.wide, self._clock, self._wall)
            case "concurrency":
                return Concurrency(quota, region.flight, self._clock, self._worker)


class MemoryLimiter:
    """A `Limiter` on a `Memory`."""

    prompt: Final = True

    def __init__(
        self, store: Memory, identity: str, quotas: tuple[Quota, ...], terms: Terms
    ) -> None:
        self._store = store
        self._countings = tuple(store.counting(quota) for quota in quotas)
        *self._others, self._last = self._countings
        self._locks = store.region.locks
        self._person = blake2b(identity.encode(), digest_size=16).digest()
        self._home = lru_cache(_HOMES_MAX)(self._find_home)
        self._stand_in = StandIn(
            terms.on_failure, lambda: store.spare().limiter(identity, quotas, terms)
        )

    def take(self, key: str, cost: int = 1) -> Reading:
        """Take `cost` from every quota of the key, or nothing if one has no room for it."""
        home = self._home(key)
        locks = self._locks
        if locks is not None and not locks.acquire(home.lock):
            self._store.failed()
            return self._stand_in.take(key, cost)
        try:
            last = self._last.take
            if not self._others:
                return (last(home.places[0], cost, "take"),)
            # The last one is taken from at once if all others have room, and then they are.
            others = self._of_others(home, cost, "look")
            fits = all(verdict.allowed for verdict in others)
            verdict = last(home.places[-1], cost, "take" if fits else "look")
            if fits and verdict.allowed:
                others = self._of_others(home, cost, "charge")
            return (*others, verdict)
        finally:
            if locks is not None:
                locks.release(home.lock)

    def look(self, key: str, cost: int = 1) -> Reading:
        """Whether `cost` would be admitted; takes nothing, and `remaining` is without it."""
        home = self._home(key)
        if not self._acquire(home):
            return self._stand_in.look(key, cost)
        try:
            return self._each(home, cost, "look")
        finally:
            self._release(home)

    def charge(self, key: str, cost: int) -> None:
        """Take `cost` from every quota, whether there is room for it or not."""
        home = self._home(key)
        if not self._acquire(home):
            self._stand_in.charge(key, cost)
            return
        try:
            self._each(home, cost, "charge")
        finally:
            self._release(home)

    def give_back(self, key: str, cost: int, reading: Reading) -> None:
        """Undo what `take` took, as far as it still counts. reading: its answer."""
        if taken_here(reading):
            self._stand_in.give_back(key, cost, reading)
            return
        home = self._home(key)
        if not self._acquire(home):
            return
        try:
            for counting, place, verdict in zip(self._countings, home.places, reading, strict=True):
                counting.give_back(place, cost, verdict.at)
        finally:
            self._release(home)

    def reset(self, key: str) -> None:
        """Forget the key. Raises Refused `limit_unavailable` when its lock can't be had."""
        home = self._home(key)
        if not self._acquire(home):
            raise Refused("limit_unavailable")
        try:
            for counting, place in zip(self._countings, home.places, strict=True):
                if counting.table.find(place):
                    counting.table.forget(place)
        finally:
            self._release(home)

    def _each(self, home: _Home, cost: int, way: Way) -> Reading:
        pairs = zip(self._countings, home.places, strict=True)
        return tuple([counting.take(place, cost, way) for counting, place in pairs])

    def _of_others(self, home: _Home, cost: int, way: Way) -> list[Verdict]:
        pairs = zip(self._others, home.places, strict=False)
        return [counting.take(place, cost, way) for counting, place in pairs]

    def _acquire(self, home: _Home) -> bool:
        if self._locks is None or self._locks.acquire(home.lock):
            return True
        self._store.failed()
        return False

    def _release(self, home: _Home) -> None:
        if self._locks is not None:
            self._locks.release(home.lock)

    def _find_home(self, key: str) -> _Home:
        """Where the records of a key are; remembered for the keys that come again."""
        region = self._store.region
        digest = blake2b(
            key.encode("utf-8", "surrogatepass"),
            digest_size=8 * (1 + len(self._countings)),
            key=region.secret,
            person=self._person,
        ).digest()
        number = int.from_bytes(digest[:8]) % region.buckets
        places = []
        for index, counting in enumerate(self._countings, start=1):
            tag = digest[8 * index : 8 * index + 8]
            places.append(counting.table.place(tag if tag != NOWHERE else _FIRST, number))
        lock = 0 if self._locks is None else self._locks.address(number)
        return _Home(lock, tuple(places))


class Alone(MemoryLimiter):
    """One quota in memory that nobody shares, which is what stands in the way of most requests."""

    def __init__(
        self, store: Memory, identity: str, quotas: tuple[Quota, ...], terms: Terms
    ) -> None:
        super().__init__(store, identity, quotas, terms)
        self.take: Take = taking(
            self._countings[0], lambda key: self._find_home(key).places[0], _HOMES_MAX
        )
