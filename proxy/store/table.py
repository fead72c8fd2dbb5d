"""Records of fixed size in one piece of memory, found by a tag in a bucket.

May live here: where a record lies, how it is found, and which one gives way when a bucket
is full. Must not live here: what a record says (`counting`), who may touch it when
(`locks`), or what a key is.

A key belongs to one bucket of 64 places; within it any place will do. So nothing is ever
moved, grown or swept: a record that has expired is as good as an empty place, and the next
new key of its bucket takes it. All work is bounded by the size of a bucket.

    bucket      64 tags of 8 bytes, zero for an empty place
                64 times of expiry, monotonic seconds as doubles
                64 states of `width` bytes

Behind the buckets stands a byte for each, which is 1 once it has held a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from mmap import mmap
from struct import Struct
from typing import Final

PLACES: Final = 64
"""Records in a bucket."""

NOWHERE: Final = b"\0" * 8
"""The tag of an empty place."""

_TAGS: Final = PLACES * 8
_STATES: Final = 2 * _TAGS
_EXPIRIES: Final = Struct(f"<{PLACES}d")
_EXPIRY: Final = Struct("<d")


def _nothing() -> None:
    return None


def table_size(buckets: int, width: int) -> int:
    """Bytes of a table whose states have `width` bytes."""
    used = -(-buckets // 8) * 8
    return buckets * (_STATES + PLACES * width) + used


class Place:
    """Where the record of one key lies, as far as is known; others may have taken it since.

    tag: of the key. tag_at, expiry_at, state_at: offsets in the memory.
    """

    __slots__ = ("bucket", "expiry_at", "state_at", "tag", "tag_at", "tag_end")

    def __init__(self, tag: bytes, bucket: int) -> None:
        self.tag = tag
        self.bucket = bucket
        self.tag_at = bucket
        self.tag_end = bucket + 8
        self.expiry_at = bucket + _TAGS
        self.state_at = bucket + _STATES


class Table:
    """Buckets in `memory` from `start` on. width: bytes of a state.

    evicted: records that gave way before they had expired, since a bucket was full. lost: hears
    of each.
    """

    def __init__(self, memory: mmap, start: int, buckets: int, width: int) -> None:
        self.memory = memory
        self.width = width
        self.evicted = 0
        self.lost: Callable[[], None] = _nothing
        self._start = start
        self._buckets = buckets
        self._size = _STATES + PLACES * width
        self._used = start + buckets * self._size

    def place(self, tag: bytes, number: int) -> Place:
        """A place in the bucket that belongs to a number; it may not be the right one yet."""
        return Place(tag, self._start + number % self._buckets * self._size)

    def find(self, place: Place) -> bool:
        """Make the place right; False when the key has no record."""
        memory = self.memory
        if memory[place.tag_at : place.tag_end] == place.tag:
            return True
        bucket = place.bucket
        tags = memory[bucket : bucket + _TAGS]
        at = tags.find(place.tag)
        while at > 0 and at % 8:
            # The end of one tag and the start of the next may look like it.
            at = tags.find(place.tag, at + 1)
        if at < 0:
            return False
        self._settle(place, at // 8)
        return True

    def claim(self, place: Place, now: float) -> None:
        """Make an empty record for a key that has none. The caller writes state and expiry.

        Of live records the one that expires soonest gives way, as it has the least left to
        say.
        """
        bucket = place.bucket
        memory = self.memory
        expiries = _EXPIRIES.unpack_from(memory, bucket + _TAGS)
        soonest = min(expiries)
        self._settle(place, expiries.index(soonest))
        if soonest > now:
            self.evicted += 1
            self.lost()
        memory[self._used + (bucket - self._start) // self._size] = 1
        # In this order: a process that ends here leaves an empty place, no mixture of two.
        memory[place.tag_at : place.tag_end] = NOWHERE
        memory[place.state_at : place.state_at + self.width] = bytes(self.width)
        memory[place.tag_at : place.tag_end] = place.tag

    def expire(self, place: Place, when: float) -> None:
        """Let the record of a place expire then, in monotonic seconds."""
        _EXPIRY.pack_into(self.memory, place.expiry_at, when)

    def forget(self, place: Place) -> None:
        """Empty the place, which has to be the right one."""
        self.memory[place.tag_at : place.tag_end] = NOWHERE
        _EXPIRY.pack_into(self.memory, place.expiry_at, 0.0)

    def states(self) -> Iterator[memoryview]:
        """All states of each bucket that has held a record."""
        view = memoryview(self.memory)
        for bucket in self._touched():
            yield view[bucket + _STATES : bucket + self._size]

    def live(self, now: float) -> int:
        """Records that haven't expired. Takes time: some 3 µs for each bucket in use."""
        return sum(
            expiry > now
            for bucket in self._touched()
            for expiry in _EXPIRIES.unpack_from(self.memory, bucket + _TAGS)
        )

    def _touched(self) -> Iterator[int]:
        for number in range(self._buckets):
            if self.memory[self._used + number]:
                yield self._start + number * self._size

    def _settle(self, place: Place, index: int) -> None:
        place.tag_at = place.bucket + 8 * index
        place.tag_end = place.tag_at + 8
        place.expiry_at = place.tag_at + _TAGS
        place.state_at = place.bucket + _STATES + self.width * index
