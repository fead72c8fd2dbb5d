"""Who waits for a place: a bounded queue with classes, fair to keys, that lets nobody wait in
vain. Pure; monotonic seconds come in.

Whoever has waited too long is turned away. As long as the queue ran empty lately, by serving
those who waited, that is `patience`; when there is always somebody waiting it is `target`,
since then waiting only adds to everybody's time (controlled delay, CoDel).
"""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

T = TypeVar("T")

CLASSES: Final = 4
"""Classes of priority, 0 the first to be served."""


class _Place(Generic[T]):
    __slots__ = ("gone", "key", "since", "waiter")

    def __init__(self, waiter: T, key: bytes, since: float) -> None:
        self.waiter = waiter
        self.key = key
        self.since = since
        self.gone = False


class Waiting(Generic[T]):
    """The queue. size: most that may wait. target, patience: seconds."""

    def __init__(self, size: int, target: float, patience: float, now: float) -> None:
        self._size = size
        self._target = target
        self._patience = patience
        self._empty = self._left = now
        # For each class the keys whose turn comes, each with those that wait in order.
        self._classes: list[dict[bytes, deque[_Place[T]]]] = [{} for _ in range(CLASSES)]
        self._places: dict[T, tuple[int, _Place[T]]] = {}

    def __len__(self) -> int:
        return len(self._places)

    @property
    def first(self) -> int | None:
        """The class of whose turn it is; None when nobody waits."""
        for priority, keys in enumerate(self._classes):
            if keys:
                return priority
        return None

    def join(self, waiter: T, priority: int, key: bytes, now: float) -> tuple[bool, T | None]:
        """Wait. Returns whether there was room, and who lost the place for that, if anybody."""
        if not self._places and now - self._left >= self._patience:
            # Nobody has waited for a while.
            self._empty = now
        self._left = now
        loser = None
        if len(self._places) >= self._size:
            loser = self._loser(priority, key)
            if loser is None:
                return False, None
            self.leave(loser, now)
        place = _Place(waiter, key, now)
        self._classes[priority].setdefault(key, deque()).append(place)
        self._places[waiter] = (priority, place)
        return True, loser

    def leave(self, waiter: T, now: float) -> None:
        """Wait no more; unknown ones are fine."""
        found = self._places.pop(waiter, None)
        if found is not None:
            # Left in its row, where it is passed over.
            found[1].gone = True
            self._tidy(found[0], found[1].key)

    def next(self, now: float) -> tuple[T, bool] | None:
        """Whose turn it is: of the first class, of each key in turn, the one that came first; and
        whether that one came in time, or has waited too long. None when nobody waits."""
        for priority, keys in enumerate(self._classes):
            if keys:
                key, row = next(iter(keys.items()))
                place = row.popleft()
                del self._places[place.waiter]
                del keys[key]
                if row:
                    keys[key] = row
                self._tidy(priority, key)
                in_time = now - place.since <= self._bound(now, priority)
                if not self._places and in_time:
                    self._empty = now
                return place.waiter, in_time
        return None

    def late(self, now: float) -> list[T]:
        """Those who have waited too long; they wait no more."""
        least = min(self._target, self._patience)
        found = []
        # In the order in which they came.
        for waiter, (priority, place) in self._places.items():
            if now - place.since <= least:
                break
            if now - place.since > self._bound(now, priority):
                found.append(waiter)
        for waiter in found:
            self.leave(waiter, now)
        return found

    def _bound(self, now: float, priority: int) -> float:
        """How long one may wait at present; those of the first class always have patience, since
        they are next."""
        lately = now - self._empty < self._patience
        return self._patience if lately or not priority else self._target

    def _loser(self, priority: int, key: bytes) -> T | None:
        """Who gives way to a newcomer: the last one of the most greedy key of the last class, if
        that is a later class than the newcomer's, or a key that has more waiting."""
        for later in range(CLASSES - 1, priority - 1, -1):
            keys = self._classes[later]
            if not keys:
                continue
            greedy = max(keys, key=lambda key: len(keys[key]))
            own = len(keys.get(key, ()))
            if later > priority or len(keys[greedy]) > own + 1:
                return keys[greedy][-1].waiter
            return None
        return None

    def _tidy(self, priority: int, key: bytes) -> None:
        """Take those who left from both ends of a row, and the row when it is empty."""
        row = self._classes[priority].get(key)
        if row is None:
            return
        while row and row[0].gone:
            row.popleft()
        while row and row[-1].gone:
            row.pop()
        if not row:
            del self._classes[priority][key]
