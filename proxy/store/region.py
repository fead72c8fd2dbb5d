"""The memory in which limits are counted: of one process, or shared by all workers.

May live here: where locks and tables lie in it, and who lays them out. Must not live here:
what is counted, or where the memory comes from. What nobody touches of it takes no room.

    header      magic, number of buckets, of workers, secret
    first lock  held by whoever lays out the rest
    locks       one for each bucket
    narrow      table of `gcra` and `fixed_window`
    wide        table of `sliding_window`
    flight      table of `concurrency`
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from mmap import mmap
from struct import Struct
from typing import Final

from proxy.store import locks
from proxy.store.counting import NARROW, WIDE, clear_worker, flight_width
from proxy.store.locks import Locks
from proxy.store.table import Table, table_size

KEYS: Final = 100_000
"""Keys held at once, unless said otherwise."""

_MAGIC: Final = b"SGLIMIT1"
_HEADER: Final = Struct("<8sQQ16s")
_FIRST_LOCK_AT: Final = 64
_LOCKS_AT: Final = _FIRST_LOCK_AT + locks.SIZE
# Of the 64 places of a bucket: a key in 5,000 finds its bucket full when all keys are there.
_USED: Final = 40


class Region:
    """Tables and their locks. locks: None when no other process shares the memory.

    secret: makes what lies where unforeseeable. Raises ValueError for other memory.
    """

    def __init__(self, memory: mmap, locks: Locks | None) -> None:
        magic, buckets, workers, secret = _HEADER.unpack_from(memory)
        if magic != _MAGIC:
            raise ValueError("this is no memory of limits")
        layout = _Layout(buckets, workers)
        self.locks = locks
        self.secret: bytes = secret
        self.buckets: int = buckets
        self.narrow = Table(memory, layout.narrow, buckets, NARROW)
        self.wide = Table(memory, layout.wide, buckets, WIDE)
        self.flight = Table(memory, layout.flight, buckets, flight_width(workers))

    @classmethod
    def private(cls, secret: bytes, keys: int = KEYS, workers: int = 0) -> Region:
        """A region of this process alone. secret: 16 random bytes."""
        memory = mmap(-1, size_of(keys, workers))
        _HEADER.pack_into(memory, 0, _MAGIC, _buckets(keys), workers, secret)
        return cls(memory, None)

    @classmethod
    def shared(
        cls,
        memory: mmap,
        keys: int,
        workers: int,
        *,
        worker: int,
        secret: bytes,
        wall: Callable[[], float],
    ) -> Region:
        """A region of all workers, who give the same memory: `size_of(keys, workers)` bytes,
        zeros at first.

        workers: the highest of their numbers. worker: the number of this one; what a worker
        of that number had in flight before is forgotten. secret: 16 random bytes, of which
        those of the first worker count.
        """
        with locks.first(memory, _FIRST_LOCK_AT, wall):
            if not any(memory[: _HEADER.size]):
                buckets = _buckets(keys)
                locks.prepare(memory, _LOCKS_AT, buckets)
                _HEADER.pack_into(memory, 0, _MAGIC, buckets, workers, secret)
        region = cls(memory, Locks(memory, _LOCKS_AT, wall))
        clear_worker(region.flight, worker)
        return region

    def live(self, now: float) -> int:
        """Keys held that haven't expired. Takes 3 µs for each bucket in use."""
        return sum(table.live(now) for table in (self.narrow, self.wide, self.flight))


class _Layout:
    """Where the tables begin, and where all of it ends."""

    def __init__(self, buckets: int, workers: int) -> None:
        self.narrow = _LOCKS_AT + buckets * locks.SIZE
        self.wide = self.narrow + table_size(buckets, NARROW)
        self.flight = self.wide + table_size(buckets, WIDE)
        self.end = self.flight + table_size(buckets, flight_width(workers))


def size_of(keys: int, workers: int) -> int:
    """Bytes of a region for so many keys, and workers whose numbers go up to `workers`.

    What nobody touches of it takes no memory. Raises ValueError for less than one key.
    """
    if keys < 1:
        raise ValueError("a store needs room for one key at least")
    return _Layout(_buckets(keys), workers).end


def _buckets(keys: int) -> int:
    return ceil(keys / _USED)
