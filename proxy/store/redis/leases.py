"""Allowances taken ahead: most requests are admitted from what this worker has in hand.

May live here: how much is in hand for which key, who waits for more, and when the rest goes
back. Must not live here: how Redis is asked (`limiter`). Pure but for a clock.

What is in hand was taken in Redis before, so all workers together never use more than there
is. But it may be used later than it was taken: in any stretch of time as many more may be
admitted as were in hand when it began, which is one lease for each worker. A lease that is not
used up within a second goes back.

The first request of a key takes for itself alone, and leases grow from one to the next: of a
million keys that come once each, nothing is taken ahead that would have to go back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Final, Protocol

from proxy.limits import Reading, Verdict

LASTS: Final = 1.0
"""Seconds that a lease may be used."""

_KEYS_MAX: Final = 10_000
_GROWTH: Final = 4
_SWEPT_MAX: Final = 50


class Source(Protocol):
    """Where leases come from."""

    def lease(
        self,
        key: str,
        cost: int,
        more: int,
        since: float,
        answered: Callable[[int, Reading], None],
        failed: Callable[[], None],
    ) -> None:
        """Take `cost`, and up to `more`. since: when the first one began to wait for it.
        answered: called with how many were taken, and what there is besides; failed: called
        when no answer comes in time."""
        ...

    def give_back(self, key: str, cost: int, reading: Reading) -> None:
        """Put back what wasn't used. reading: of the lease."""
        ...


class _Lease:
    """What is in hand for a key.

    left: of it. size: how much may be, for now. until: when it goes back. reading: of its last
    refill, and at: its time by this clock. asking: more has been asked for. waiting: who waits
    for that, with the costs, and since when. closed: until when nothing can be had, at a cost of
    `closed_for` or more.
    """

    __slots__ = (
        "asking", "at", "closed", "closed_for", "left", "reading", "refusal", "size", "until",
        "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        self.left = 0
        self.size = 0
        self.until = 0.0
        self.reading: Reading = ()
        self.refusal: Reading = ()
        self.at = 0.0
        self.asking = False
        self.waiting: list[tuple[int, Callable[[Reading | None], None], float]] = []
        self.closed = 0.0
        self.closed_for = 0


class Leases:
    """The leases of one limiter. batch: how many are in hand at most. clock: monotonic seconds."""

    def __init__(self, source: Source, batch: int, clock: Callable[[], float]) -> None:
        self._source = source
        self._batch = batch
        self._clock = clock
        self._leases: OrderedDict[str, _Lease] = OrderedDict()

    def __len__(self) -> int:
        return len(self._leases)

    def take(self, key: str, cost: int) -> Reading | None:
        """From what is in hand, or from what is known not to be there; None to wait for more."""
        lease = self._leases.get(key)
        if lease is None:
            return None
        now = self._clock()
        if lease.waiting:
            return None
        if lease.left >= cost and now < lease.until:
            lease.left -= cost
            if lease.left * 2 < lease.size and not lease.asking:
                self._refill(key, lease, 0)
            return _told(lease, now)
        if cost >= lease.closed_for and now < lease.closed:
            return _refused(lease, now)
        return None

    def wait(self, key: str, cost: int, answered: Callable[[Reading | None], None]) -> None:
        """Ask for more. answered: called with the reading, or None when no answer came."""
        lease = self._leases.get(key)
        if lease is None:
            if len(self._leases) >= _KEYS_MAX:
                self._drop(*self._leases.popitem(last=False))
            lease = self._leases[key] = _Lease()
        lease.waiting.append((cost, answered, self._clock()))
        if not lease.asking:
            self._refill(key, lease, cost)

    def sweep(self) -> bool:
        """Give back what wasn't used in its time. Call it a few times a second, and again soon
        when it gives True: there may be more, which would take too long at once."""
        now = self._clock()
        oldest = list(islice(self._leases.items(), _SWEPT_MAX))
        for key, lease in oldest:
            if lease.until > now or lease.closed > now:
                # The others were filled later.
                return False
            if lease.asking:
                self._leases.move_to_end(key)
            else:
                del self._leases[key]
                self._drop(key, lease)
        return len(oldest) == _SWEPT_MAX

    def forget(self, key: str) -> None:
        """What is in hand for a key counts no more."""
        lease = self._leases.get(key)
        if lease is not None:
            lease.left, lease.closed = 0, 0.0

    def clear(self) -> None:
        """Give everything back."""
        while self._leases:
            self._drop(*self._leases.popitem())

    def _drop(self, key: str, lease: _Lease) -> None:
        if lease.left:
            self._source.give_back(key, lease.left, lease.reading)
            lease.left = 0

    def _refill(self, key: str, lease: _Lease, cost: int) -> None:
        """Ask for a cost that somebody waits for, and as much as there is room for in hand."""
        lease.asking = True
        now = self._clock()
        if lease.until <= now:
            self._drop(key, lease)
        waiting = sum(other for other, _, _ in lease.waiting) - cost if cost else 0
        if lease.reading:
            lease.size = min(self._batch, _GROWTH * max(1, lease.size))
        more = waiting + max(0, lease.size - lease.left)
        self._source.lease(
            key,
            cost or 1,
            more if cost else max(0, more - 1),
            lease.waiting[0][2] if lease.waiting else now,
            lambda taken, reading: self._answered(key, lease, cost, taken, reading),
            lambda: self._failed(lease),
        )

    def _answered(self, key: str, lease: _Lease, cost: int, taken: int, reading: Reading) -> None:
        now = self._clock()
        lease.asking = False
        lease.left += taken
        if taken:
            lease.reading, lease.at = reading, now
            lease.until = now + LASTS
            lease.closed = 0.0
        else:
            wait = max(verdict.retry_after for verdict in reading)
            lease.refusal, lease.at = reading, now
            lease.closed, lease.closed_for = now + min(wait, LASTS), max(cost, 1)
        self._serve(key, lease, now)
        if self._leases.get(key) is lease:
            self._leases.move_to_end(key)
        elif not lease.asking:
            # It was thrown out meanwhile.
            self._drop(key, lease)

    def _serve(self, key: str, lease: _Lease, now: float) -> None:
        while lease.waiting:
            cost, answered, _ = lease.waiting[0]
            if lease.left >= cost:
                lease.left -= cost
                lease.waiting.pop(0)
                answered(_told(lease, now))
            elif now < lease.closed and cost >= lease.closed_for:
                lease.waiting.pop(0)
                answered(_refused(lease, now))
            else:
                self._refill(key, lease, cost)
                return

    def _failed(self, lease: _Lease) -> None:
        lease.asking = False
        waiting, lease.waiting = lease.waiting, []
        for _, answered, _ in waiting:
            answered(None)


def _told(lease: _Lease, now: float) -> Reading:
    """What a client is told who was admitted from a lease."""
    past = now - lease.at
    return tuple(
        [
            Verdict(
                True,
                verdict.remaining + lease.left,
                0.0,
                max(0.0, verdict.reset_after - past),
                verdict.at,
            )
            # Before the first refill, only what costs nothing is admitted.
            for verdict in lease.reading or lease.refusal
        ]
    )


def _refused(lease: _Lease, now: float) -> Reading:
    past = now - lease.at
    return tuple(
        [
            Verdict(
                verdict.allowed,
                verdict.remaining,
                max(0.0, verdict.retry_after - past),
                max(0.0, verdict.reset_after - past),
                verdict.at,
            )
            for verdict in lease.refusal
        ]
    )
