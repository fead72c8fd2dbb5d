"""What stands in the way of most requests: to take from one quota that nobody shares.

May live here: that much, which is compiled. Must not live here: locks, several quotas, where a
key's records are (all `memory`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from proxy.limits import Reading
from proxy.memo import Memo
from proxy.store.counting import Counting
from proxy.store.table import Place


class Take(Protocol):
    """Takes `cost` from the quota of a key, if it has room for it."""

    def __call__(self, key: str, cost: int = 1) -> Reading:
        """As `Limiter.take`."""
        ...


def taking(counting: Counting, find: Callable[[str], Place], most: int) -> Take:
    """Takes from this quota. find: the place of a key; at most so many are remembered."""
    places: Memo[str, Place] = Memo(most)
    of = counting.take

    def take(key: str, cost: int = 1) -> Reading:
        place = places.get(key)
        if place is None:
            place = places[key] = find(key)
        return (of(place, cost, "take"),)

    return take
