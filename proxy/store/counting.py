"""How each algorithm counts: what its record says, and what follows from it.

May live here: one class for each algorithm, on records of a `Table`. Must not live here:
keys, locks, several quotas at once (`memory`). Nothing here waits; whoever shares the
memory holds the lock of the bucket meanwhile.

Clocks of several processes are read at different moments, and wall clocks are set back. So
no record goes back in time: what was counted later counts as counted now.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor, inf
from struct import Struct
from typing import Final, Literal, Protocol

from proxy.limits import Quota, Verdict
from proxy.store.table import Place, Table

Clock = Callable[[], float]

NARROW: Final = 16
"""Bytes of a state of `gcra` and `fixed_window`."""

WIDE: Final = 144
"""Bytes of a state of `sliding_window`."""

PARTS: Final = 16
"""Parts of a sliding window; a request counts for one part longer than the period at most."""

# Seconds by which a request may come early. Floats are off by less, and a request that comes
# exactly when its allowance is back must not be refused for a rounding error.
_SLACK: Final = 1e-6
# Requests in flight end by themselves; a record that nobody touched for so long may go.
_FORGOTTEN: Final = 3600.0
_PAIR: Final = Struct("<2d")
_EXPIRY: Final = Struct("<d")
_RING: Final = Struct(f"<Q{PARTS + 1}Q")
_COLUMN: Final = Struct("<H")
_COLUMN_MAX: Final = 0xFFFF


Way = Literal["take", "look", "charge"]
"""take: if there is room. look: take nothing. charge: whether there is room or not.

No enumeration: on Python 3.11 naming a member of one costs 0.08 µs, thrice for each request.
"""


class Counting(Protocol):
    """An algorithm with its quota and its table."""

    table: Table

    def take(self, place: Place, cost: int, way: Way) -> Verdict:
        """What becomes of this cost."""
        ...

    def give_back(self, place: Place, cost: int, at: float) -> None:
        """Undo a `take`. at: of its verdict."""
        ...


class Gcra:
    """The generic cell rate algorithm: in any `t` seconds at most `burst + t / interval`.

    A record tells when the key was last admitted, and the seconds that its allowance then
    needed to be full. Two small numbers where the theoretical arrival time would be one
    large one: its rounding errors add up after months of uptime.
    """

    def __init__(self, quota: Quota, table: Table, clock: Clock) -> None:
        self.table = table
        self._clock = clock
        self._burst = quota.burst
        self._interval = quota.period / quota.limit
        self._room = quota.burst * self._interval
        self._slack = min(_SLACK, self._interval / 1000)

    def take(self, place: Place, cost: int, way: Way) -> Verdict:
        """What becomes of this cost."""
        now = self._clock()
        table = self.table
        memory = table.memory
        interval = self._interval
        slack = self._slack
        debt = 0.0
        known = memory[place.tag_at : place.tag_end] == place.tag or table.find(place)
        if known:
            seen, debt = _PAIR.unpack_from(memory, place.state_at)
            if seen > now:
                now = seen
            debt -= now - seen
            if debt < 0.0:
                debt = 0.0
        after = debt + cost * interval
        early = after - self._room
        if way == "look" or (early > slack and way == "take"):
            left = int((self._room - debt + slack) / interval)
            fits = early <= slack
            wait = 0.0 if fits else early if cost <= self._burst else inf
            return Verdict(fits, left if left > 0 else 0, wait, debt, now)
        if not known:
            table.claim(place, now)
        _PAIR.pack_into(memory, place.state_at, now, after)
        _EXPIRY.pack_into(memory, place.expiry_at, now + after)
        left = int((slack - early) / interval)
        return Verdict(True, left if left > 0 else 0, 0.0, after, now)

    def give_back(self, place: Place, cost: int, at: float) -> None:
        """Undo a `take`, less what has run off since.

        What was taken may have begun to run off at once; to take it for waiting behind
        others would give back more than is left of it.
        """
        if not self.table.find(place):
            return
        now = self._clock()
        seen, debt = _PAIR.unpack_from(self.table.memory, place.state_at)
        now = max(now, seen)
        debt = max(0.0, debt - (now - seen))
        debt = max(0.0, debt - max(0.0, cost * self._interval - (now - at)))
        _PAIR.pack_into(self.table.memory, place.state_at, now, debt)
        self.table.expire(place, now + debt)


class FixedWindow:
    """So many in each window of the wall clock; windows begin at multiples of the period.

    A record tells the number of the window and the count in it.
    """

    def __init__(self, quota: Quota, table: Table, clock: Clock, wall: Clock) -> None:
        self.table = table
        self._clock = clock
        self._wall = wall
        self._count = quota.limit
        self._period = quota.period

    def take(self, place: Place, cost: int, way: Way) -> Verdict:
        """What becomes of this cost."""
        wall = self._wall()
        window = floor(wall / self._period)
        count = 0.0
        known = self.table.find(place)
        if known:
            window, count = self._read(place, window)
        left = self._count - count
        rest = (window + 1) * self._period - wall
        fits = cost <= left
        if way == "look" or (way == "take" and not fits):
            wait = 0.0 if fits else rest if cost <= self._count else inf
            return Verdict(fits, max(0, int(left)), wait, rest if count else 0.0, wall)
        now = self._clock()
        if not known:
            self.table.claim(place, now)
        _PAIR.pack_into(self.table.memory, place.state_at, window, count + cost)
        self.table.expire(place, now + rest)
        return Verdict(True, max(0, int(left - cost)), 0.0, rest, wall)

    def give_back(self, place: Place, cost: int, at: float) -> None:
        """Undo a `take`, if its window is still the present one."""
        if self.table.find(place):
            window, count = self._read(place, floor(self._wall() / self._period))
            if window == floor(at / self._period):
                _PAIR.pack_into(self.table.memory, place.state_at, window, max(0.0, count - cost))

    def _read(self, place: Place, window: int) -> tuple[int, float]:
        """The present window, and the count in it."""
        known, count = _PAIR.unpack_from(self.table.memory, place.state_at)
        if known == window:
            return window, count
        if known == window + 1:
            # The clock was set back a little.
            return window + 1, count
        return window, 0.0


class SlidingWindow:
    """So many in any stretch of time as long as the period.

    The period is counted in sixteen parts. The part in which the stretch begins counts as a
    whole, so that never too many are admitted: a request counts for the period and up to a
    sixteenth of it. A record tells the number of the newest part, and the counts in a ring.
    """

    def __init__(self, quota: Quota, table: Table, clock: Clock, wall: Clock) -> None:
        self.table = table
        self._clock = clock
        self._wall = wall
        self._count = quota.limit
        self._part = quota.period / PARTS

    def take(self, place: Place, cost: int, way: Way) -> Verdict:
        """What becomes of this cost."""
        wall = self._wall()
        newest = floor(wall / self._part)
        known = self.table.find(place)
        counts = [0] * (PARTS + 1)
        if known:
            newest = self._read(place, newest, counts)
        total = sum(counts)
        left = self._count - total
        fits = cost <= left
        if way == "look" or (way == "take" and not fits):
            wait = 0.0 if fits else self._wait(counts, newest, wall, cost - left)
            reset = self._wait(counts, newest, wall, total) if total else 0.0
            return Verdict(fits, max(0, left), wait if cost <= self._count else inf, reset, wall)
        now = self._clock()
        if not known:
            self.table.claim(place, now)
        counts[newest % (PARTS + 1)] += cost
        _RING.pack_into(self.table.memory, place.state_at, newest, *counts)
        rest = (newest + PARTS + 1) * self._part - wall
        self.table.expire(place, now + rest)
        return Verdict(True, max(0, left - cost), 0.0, rest, wall)

    def give_back(self, place: Place, cost: int, at: float) -> None:
        """Undo a `take`, if its part still counts."""
        if not self.table.find(place):
            return
        counts = [0] * (PARTS + 1)
        newest = self._read(place, floor(self._wall() / self._part), counts)
        part = floor(at / self._part)
        if newest - PARTS <= part <= newest:
            index = part % (PARTS + 1)
            counts[index] = max(0, counts[index] - cost)
            _RING.pack_into(self.table.memory, place.state_at, newest, *counts)

    def _read(self, place: Place, newest: int, counts: list[int]) -> int:
        """Fill in the counts that still count, and give the number of the newest part."""
        known, *ring = _RING.unpack_from(self.table.memory, place.state_at)
        if known > newest:
            if known - newest > PARTS:
                # No clock is set back so far: the one that wrote this was wrong.
                return newest
            newest = known
        for part in range(newest - PARTS, known + 1):
            counts[part % (PARTS + 1)] = ring[part % (PARTS + 1)]
        return newest

    def _wait(self, counts: list[int], newest: int, wall: float, needed: int) -> float:
        """Seconds until so many no longer count."""
        for part in range(newest - PARTS, newest + 1):
            needed -= counts[part % (PARTS + 1)]
            if needed <= 0:
                return (part + PARTS + 1) * self._part - wall
        return inf


class Concurrency:
    """So many at one time. A record has a count for each worker, written by that worker alone,
    so that what a dead one held can be told and cleared. A request counts as one, whatever its
    cost.

    worker: number of this one; the states of the table have room for it.
    """

    def __init__(self, quota: Quota, table: Table, clock: Clock, worker: int) -> None:
        self.table = table
        self._clock = clock
        self._count = quota.limit
        self._column = _COLUMN.size * worker
        self._columns = Struct(f"<{table.width // _COLUMN.size}H")

    def take(self, place: Place, cost: int, way: Way) -> Verdict:
        """What becomes of this cost."""
        memory = self.table.memory
        known = self.table.find(place)
        held = sum(self._columns.unpack_from(memory, place.state_at)) if known else 0
        left = self._count - held
        fits = left > 0
        if way == "look" or (way == "take" and not fits):
            # Nobody knows when one will end.
            return Verdict(fits, max(0, left), 0.0 if fits else 1.0, 0.0)
        now = self._clock()
        if not known:
            self.table.claim(place, now)
        self._hold(place, 1)
        self.table.expire(place, now + _FORGOTTEN)
        return Verdict(True, max(0, left - 1), 0.0, 0.0)

    def give_back(self, place: Place, cost: int, at: float) -> None:
        """A request has ended."""
        if self.table.find(place):
            self._hold(place, -1)
            if not any(self._columns.unpack_from(self.table.memory, place.state_at)):
                self.table.forget(place)

    def _hold(self, place: Place, change: int) -> None:
        at = place.state_at + self._column
        held = _COLUMN.unpack_from(self.table.memory, at)[0] + change
        _COLUMN.pack_into(self.table.memory, at, min(max(held, 0), _COLUMN_MAX))


def flight_width(workers: int) -> int:
    """Bytes of a state of `concurrency`, for workers whose numbers go up to `workers`."""
    return -(-_COLUMN.size * (workers + 1) // 8) * 8


def clear_worker(table: Table, worker: int) -> None:
    """Forget the requests in flight of a worker that is no more, before its successor begins.

    table: of `concurrency`.
    """
    for states in table.states():
        column = states.cast("H")[worker :: table.width // _COLUMN.size]
        for index, held in enumerate(column):
            if held:
                column[index] = 0
