"""Which of several endpoints a request goes to: pure choices over seats that know their load.

A choice is built anew when the set of usable seats changes, and then picks in constant or
logarithmic time. Must not live here: which seats are usable, what a seat stands for, any
clock or randomness but those handed in.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, Generic, Protocol, TypeVar

from proxy.upstream.ring import Ring

# So many seats are looked at for one that isn't skipped; enough for any number of retries.
_LOOKS: Final = 16
_DRAWS: Final = 4
# However few requests there are, so many of one key may wait at its seat.
_ALWAYS_ROOM: Final = 8
_UNKNOWN: Final = 1e9


class Seat(Protocol):
    """An endpoint's place in an upstream, as a choice sees it."""

    @property
    def name(self) -> str:
        """The same for the same endpoint, in all processes."""
        ...

    @property
    def weight(self) -> int:
        """Its share of the traffic, compared with others'."""
        ...

    @property
    def load(self) -> int:
        """Requests that it has now."""
        ...

    @property
    def asked(self) -> int:
        """Requests that wait for the head of its response."""
        ...

    @property
    def tunnels(self) -> int:
        """Tunnels that it has now."""
        ...

    def delay(self) -> float:
        """Seconds that it lately took to answer; 0.0 before its first answer."""
        ...


S = TypeVar("S", bound=Seat)
S_co = TypeVar("S_co", bound=Seat, covariant=True)
Ramp = Callable[[S], float]
"""Of a new endpoint's weight the part that counts already, more than 0 and at most 1."""
Skip = Callable[[S], bool]


class Choice(Protocol[S_co]):
    """One way of choosing."""

    def pick(self, key: bytes) -> S_co:
        """A seat. key: requests of one key belong together, where that matters."""
        ...

    def another(self, key: bytes, skip: Skip[S_co]) -> S_co | None:
        """A seat that isn't skipped; None if none was found."""
        ...


def whole(_: Seat) -> float:
    """The ramp of endpoints that have their whole share from the start."""
    return 1.0


class Lot(Generic[S]):
    """Draws seats in proportion to their weights. uniform: from 0 to less than 1."""

    def __init__(
        self, seats: Sequence[S], uniform: Callable[[], float], ramp: Ramp[S] = whole
    ) -> None:
        self.seats = tuple(seats)
        self._uniform = uniform
        self._ramp = None if ramp is whole else ramp
        weights = [seat.weight for seat in self.seats]
        self._sums = None if len(set(weights)) < 2 else list(accumulate(weights))

    def pick(self, key: bytes) -> S:
        """A seat by lot."""
        return self.seats[self._draw()]

    def another(self, key: bytes, skip: Skip[S]) -> S | None:
        """A seat that isn't skipped; the first of a few in turn, from one drawn by lot."""
        for _ in range(_DRAWS):
            seat = self.pick(key)
            if not skip(seat):
                return seat
        count = len(self.seats)
        first = int(self._uniform() * count)
        for step in range(min(count, _LOOKS)):
            seat = self.seats[(first + step) % count]
            if not skip(seat):
                return seat
        return None

    def _draw(self) -> int:
        index = self._drawn()
        if self._ramp is not None:
            for _ in range(_DRAWS):
                if self._uniform() < self._ramp(self.seats[index]):
                    break
                index = self._drawn()
        return index

    def _drawn(self) -> int:
        sums = self._sums
        if sums is None:
            return int(self._uniform() * len(self.seats))
        return bisect_right(sums, self._uniform() * sums[-1])


class Cheaper(Lot[S]):
    """The cheaper of two drawn by lot: nearly as even as the cheapest of all, at a price that
    doesn't grow with their number."""

    def __init__(
        self,
        seats: Sequence[S],
        uniform: Callable[[], float],
        cost: Callable[[S], float],
        ramp: Ramp[S] = whole,
    ) -> None:
        super().__init__(seats, uniform, ramp)
        self._cost = cost

    def pick(self, key: bytes) -> S:
        """The cheaper of two different seats, the first when they are equal."""
        seats = self.seats
        count = len(seats)
        if self._sums is None and self._ramp is None:
            # Each other one is as likely to be the second.
            first = int(self._uniform() * count)
            second = (first + 1 + int(self._uniform() * (count - 1))) % count
        else:
            first, second = self._drawn_two(count)
        one, other = seats[first], seats[second]
        return other if self._cost(other) < self._cost(one) else one

    def _drawn_two(self, count: int) -> tuple[int, int]:
        first = self._draw()
        for _ in range(_DRAWS):
            second = self._draw()
            if second != first:
                return first, second
        return first, (first + 1) % count


def least_request(
    seats: Sequence[S], uniform: Callable[[], float], ramp: Ramp[S] = whole
) -> Cheaper[S]:
    """The one with fewer requests for its weight."""

    def cost(seat: S) -> float:
        return seat.load / (seat.weight * ramp(seat))

    def plain_cost(seat: S) -> float:
        return seat.load / seat.weight

    return Cheaper(seats, uniform, plain_cost if ramp is whole else cost, ramp)


def ewma(seats: Sequence[S], uniform: Callable[[], float], ramp: Ramp[S] = whole) -> Cheaper[S]:
    """The one that would answer sooner, by its lately seen delay and its present load."""

    def cost(seat: S) -> float:
        delay, load = seat.delay(), seat.load
        if not delay and load:
            # Nothing is known before its first answer: one request finds out, not a flood.
            return _UNKNOWN + load
        return delay * (1.0 + load / (seat.weight * ramp(seat)))

    return Cheaper(seats, uniform, cost, ramp)


def fewest_tunnels(
    seats: Sequence[S], uniform: Callable[[], float], ramp: Ramp[S] = whole
) -> Cheaper[S]:
    """The one with fewer tunnels for its weight: those last, whatever requests it has now."""

    def cost(seat: S) -> float:
        return seat.tunnels / (seat.weight * ramp(seat))

    return Cheaper(seats, uniform, cost, ramp)


class RoundRobin(Lot[S]):
    """In turn: each seat as often as its weight says, and evenly spread.

    Each has the time of its next turn, and the earliest is taken (earliest deadline first).
    """

    def __init__(
        self, seats: Sequence[S], uniform: Callable[[], float], ramp: Ramp[S] = whole
    ) -> None:
        super().__init__(seats, uniform, ramp)
        # From a seat by lot, so that not all processes begin with the same one.
        count = len(self.seats)
        first = int(uniform() * count)
        self._turns = [
            (1.0 / seat.weight, (index - first) % count, seat)
            for index, seat in enumerate(self.seats)
        ]
        heapq.heapify(self._turns)

    def pick(self, key: bytes) -> S:
        """The seat whose turn it is."""
        time, order, seat = self._turns[0]
        part = 1.0 if self._ramp is None else self._ramp(seat)
        heapq.heapreplace(self._turns, (time + 1.0 / (seat.weight * part), order, seat))
        return seat


class Hashed(Generic[S]):
    """The same seat for the same key, unless it has more than its bounded share.

    Consistent hashing with bounded loads: a seat takes at most `bound` times the average of
    what all are asked at the moment (and 8 in any case); beyond that the next one on the ring
    is asked, the same for all requests of the key. asked: of all seats together.
    """

    def __init__(self, seats: Sequence[S], bound: float, asked: Callable[[], int]) -> None:
        self._ring: Ring[S] = Ring([(seat, seat.name, seat.weight) for seat in seats])
        self._bound = bound
        self._asked = asked
        self._weights = sum(seat.weight for seat in seats)
        self._seats = tuple(seats)

    def pick(self, key: bytes) -> S:
        """The seat that the key belongs to, or the next with room."""
        seat = self.another(key, _none)
        return self._ring.at(key) if seat is None else seat

    def another(self, key: bytes, skip: Skip[S]) -> S | None:
        """The first seat of the key's way along the ring that has room and isn't skipped."""
        average = (self._asked() + 1) / self._weights
        spare = None
        for step, seat in enumerate(self._ring.walk(key)):
            if not skip(seat):
                if seat.asked < max(self._bound * average * seat.weight, _ALWAYS_ROOM):
                    return seat
                spare = spare or seat
            if step >= _LOOKS:
                break
        return spare


def _none(_: object) -> bool:
    return False
