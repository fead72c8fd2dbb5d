"""Shared state of one process: the operations of `contract.Store` on a dictionary.

Nothing here waits, so each operation is atomic for the event loop that runs it. The number
of keys is bounded: see `Memory._make_room`.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from typing import Final

from proxy.contract import Verdict

# Seconds by which a request may come early. Floats are off by less, and a request that comes
# exactly when its allowance is back must not be refused for a rounding error.
_SLACK: Final = 1e-6
# Entries looked at to make room: bounds the pause of one request.
_LOOKS: Final = 8


class Memory:
    """An in-process store. clock: monotonic seconds. max_keys: keys held at once."""

    def __init__(self, clock: Callable[[], float], max_keys: int = 100_000) -> None:
        if max_keys < 1:
            raise ValueError("a store needs room for one key at least")
        self._clock = clock
        self._max_keys = max_keys
        # Key to when it was last admitted, and the seconds its allowance then needed to be
        # full. Two small numbers where the theoretical arrival time would be one large one:
        # its rounding errors add up after months of uptime.
        self._debts: dict[str, tuple[float, float]] = {}
        # One `(expiry, key)` for each key. Expiries only move back, and an entry isn't moved
        # when they do: it tells the earliest that its key may expire.
        self._queue: list[tuple[float, str]] = []

    def __len__(self) -> int:
        """Keys held, expired ones included until they are met."""
        return len(self._debts)

    async def gcra(self, key: str, interval: float, burst: int, cost: int = 1) -> Verdict:
        """Take `cost` from an allowance of `burst` that refills one each `interval` seconds.

        The generic cell rate algorithm, exact: in any `t` seconds it admits at most
        `burst + t / interval`, and refuses nothing below that. A refusal takes nothing.
        """
        now = self._clock()
        known = self._debts.get(key)
        debt = 0.0
        if known is not None:
            seen, debt = known
            debt -= now - seen
            if debt < 0.0:
                debt = 0.0
        after = debt + cost * interval
        early = after - burst * interval
        if early > _SLACK:
            left = int((burst * interval - debt + _SLACK) / interval)
            return Verdict(False, max(left, 0), early, debt)
        if known is None:
            self._make_room(now)
            heappush(self._queue, (now + after, key))
        self._debts[key] = (now, after)
        return Verdict(True, int((_SLACK - early) / interval), 0.0, after)

    def _make_room(self, now: float) -> None:
        """Forget expired keys, and one live key if there is no room without.

        An expired key's allowance is full, so forgetting it changes nothing. Of live keys
        the one that expires soonest is forgotten, as its limit has the least left to say.
        A few entries are looked at, so after many repeated keys it is the soonest of those.
        """
        queue, debts = self._queue, self._debts
        for _ in range(_LOOKS):
            if not queue or queue[0][0] > now:
                break
            key = queue[0][1]
            expires = sum(debts[key])
            if expires <= now:
                heappop(queue)
                del debts[key]
            else:
                heapreplace(queue, (expires, key))
        if len(debts) < self._max_keys:
            return
        looked: list[tuple[float, str]] = []
        while queue and len(looked) < _LOOKS:
            noted, key = heappop(queue)
            looked.append((sum(debts[key]), key))
            if noted == looked[-1][0]:
                # Notes are never late, so no key further back expires sooner than this one.
                break
        looked.sort()
        for entry in looked[1:]:
            heappush(queue, entry)
        del debts[looked[0][1]]
