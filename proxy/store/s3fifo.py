"""Which objects stay in a bounded memory: three first-in-first-out queues (S3-FIFO, SOSP 2023).

New objects wait in a small queue. Those that were asked for twice before they reach its end
move to the main one; the others leave, and only their names are remembered for a while, so
that one that comes back soon is let into the main queue at once. So a scan of things that
nobody asks for again passes through the small queue and takes nothing else along. Objects
have weights; every operation takes constant time, spread over many.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, ValuesView
from typing import Final, Generic, Protocol, TypeVar

MAX_VISITS: Final = 3
"""A visitor counts an object's visits up to here; more say nothing more."""

_SMALL_SHARE: Final = 0.1
_WELCOME_VISITS: Final = 2


class Weighed(Protocol):
    """An object with a name and a weight. visits: counted by whoever finds it, to `MAX_VISITS`."""

    key: str
    weight: int
    visits: int


T = TypeVar("T", bound=Weighed)


class S3Fifo(Generic[T]):
    """Objects by key, whose weights together stay within `limit`.

    evicted: told of each object that has to leave for another. find: the object of a key,
    or None; it doesn't count the visit.
    """

    def __init__(self, limit: int, evicted: Callable[[T], None]) -> None:
        self._evicted = evicted
        self._items: dict[str, T] = {}
        self._small: OrderedDict[str, T] = OrderedDict()
        self._main: OrderedDict[str, T] = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._small_weight = 0
        self.find: Callable[[str], T | None] = self._items.get
        self.weight = 0
        self.limit = limit

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def values(self) -> ValuesView[T]:
        """All objects."""
        return self._items.values()

    def put(self, item: T) -> bool:
        """Keep an object, in place of one of the same key; False when it is too heavy."""
        key = item.key
        if item.weight > self.limit:
            self.remove(key)
            return False
        present = self._items.get(key)
        if present is not None:
            # The name keeps its place and its merits, whatever it stands for now.
            item.visits = present.visits
            queue = self._small if key in self._small else self._main
            self._account(queue, item.weight - present.weight)
        else:
            item.visits = 0
            known = hash(key)
            if known in self._ghosts:
                del self._ghosts[known]
                queue = self._main
            else:
                queue = self._small
            self._account(queue, item.weight)
        queue[key] = self._items[key] = item
        self._make_room()
        return key in self._items

    def remove(self, key: str) -> T | None:
        """Let go of an object; None when there was none."""
        item = self._items.pop(key, None)
        if item is None:
            return None
        queue = self._small if key in self._small else self._main
        del queue[key]
        self._account(queue, -item.weight)
        return item

    def resize(self, limit: int) -> None:
        """Another limit; what is too much leaves at once."""
        self.limit = limit
        self._make_room()

    def _account(self, queue: OrderedDict[str, T], weight: int) -> None:
        self.weight += weight
        if queue is self._small:
            self._small_weight += weight

    def _make_room(self) -> None:
        while self.weight > self.limit:
            if self._small and (self._small_weight > self.limit * _SMALL_SHARE or not self._main):
                self._leave_small()
            else:
                self._leave_main()

    def _leave_small(self) -> None:
        key, item = self._small.popitem(last=False)
        self._small_weight -= item.weight
        if item.visits >= _WELCOME_VISITS:
            item.visits = 0
            self._main[key] = item
            return
        self._ghosts[hash(key)] = None
        if len(self._ghosts) > len(self._items):
            self._ghosts.popitem(last=False)
        self._drop(item)

    def _leave_main(self) -> None:
        key, item = self._main.popitem(last=False)
        if item.visits:
            item.visits -= 1
            self._main[key] = item
        else:
            self._drop(item)

    def _drop(self, item: T) -> None:
        del self._items[item.key]
        self.weight -= item.weight
        self._evicted(item)
