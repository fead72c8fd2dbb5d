"""A hash ring: each key belongs to one of many things, and to the same one after others came
or went. Pure; the hash is the same in every process and on every day."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Generic, TypeVar

T = TypeVar("T")

# One digest of 64 bytes gives eight points.
_POINTS: Final = struct.Struct("<8Q")
_MOST_POINTS: Final = 160
_FEWEST_POINTS: Final = 16
# Of all things together; beyond it each has fewer, so that a ring of 1,000 is made in 20 ms.
_ALL_POINTS: Final = 16_384


class Ring(Generic[T]):
    """Things on a ring, each at several points.

    entries: a thing, its name, and its weight, to which its number of points is in proportion.
    """

    def __init__(self, entries: Sequence[tuple[T, str, int]]) -> None:
        weights = sum(weight for _, _, weight in entries)
        mean = weights / len(entries)
        each = min(_MOST_POINTS, max(_FEWEST_POINTS, _ALL_POINTS // len(entries)))
        points: list[tuple[int, str, T]] = []
        for thing, name, weight in entries:
            digests = max(1, round(each * weight / mean / 8))
            points += [(place, name, thing) for place in _places(name, digests)]
        # Equal places are told apart by name, so that the order doesn't matter.
        points.sort(key=lambda point: point[:2])
        self._places = [place for place, _, _ in points]
        self._things = [thing for _, _, thing in points]

    def at(self, key: bytes) -> T:
        """The thing that a key belongs to."""
        return self._things[self._index(key)]

    def walk(self, key: bytes) -> Iterator[T]:
        """All things in the order in which they would take over the key, each once."""
        things = self._things
        first = self._index(key)
        seen: set[int] = set()
        for step in range(len(things)):
            thing = things[(first + step) % len(things)]
            if id(thing) not in seen:
                seen.add(id(thing))
                yield thing

    def _index(self, key: bytes) -> int:
        place = int.from_bytes(blake2b(key, digest_size=8).digest(), "little")
        return bisect_right(self._places, place) % len(self._places)


@lru_cache(maxsize=4096)
def _places(name: str, digests: int) -> tuple[int, ...]:
    places: list[int] = []
    for number in range(digests):
        places += _POINTS.unpack(blake2b(f"{name}#{number}".encode()).digest())
    return tuple(places)
