"""The store of limits in Redis: what all its limiters share, and what is done now and then.

May live here: starting and ending, counts and log lines about the store as a whole. Must not
live here: single questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

from proxy.config.store import StoreOptions
from proxy.contract import Log, Metrics
from proxy.limits import USUAL_TERMS, Quota, Terms
from proxy.store.memory import Memory
from proxy.store.redis.inquiry import Failure
from proxy.store.redis.limiter import LeasedLimiter, RedisLimiter
from proxy.store.redis.reach import Reach
from proxy.store.redis.scripts import HELD_SECONDS
from proxy.store.stand_in import StandIn

_INSTEAD: Final = "limits are counted as `on_store_failure` says"
_SWEEP_SECONDS: Final = 0.2
_AGAIN_SECONDS: Final = 0.01
_GRACE_SECONDS: Final = 0.1
_HOLD_SECONDS: Final = HELD_SECONDS / 3

_Known = tuple[str, tuple[Quota, ...], Terms]


class RedisStore:
    """A `Store` in Redis, as in `question.Circumstances`.

    connected: set once all servers can be asked. memory: counts while they can't. worker: a
    name that no other worker anywhere has. spawn: runs a task. Raises ValueError for files
    that can't be used.
    """

    def __init__(
        self,
        options: StoreOptions,
        memory: Memory,
        worker: bytes,
        loop: asyncio.AbstractEventLoop,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        metrics: Metrics,
        log: Callable[[], Log],
    ) -> None:
        self.loop = loop
        self.prefix = options.prefix
        self.worker = worker
        self.deadline = options.deadline
        self._memory = memory
        self._spawn = spawn
        self._ended = False
        self._limiters: WeakValueDictionary[_Known, RedisLimiter | LeasedLimiter] = (
            WeakValueDictionary()
        )
        self._reach = Reach(
            options, "limit store", "rate_limit_store", "count", _INSTEAD, options.deadline,
            self._say_held, loop, spawn, metrics, log,
        )  # fmt: skip
        self.connected = self._reach.connected
        self.topology = self._reach.topology

    @property
    def ready(self) -> bool:
        """Whether all of its servers can be asked."""
        return self._reach.ready

    def start(self) -> None:
        """Connect, in the background; until then, limits are counted in memory."""
        self.topology.start()
        self._spawn(self._tend())

    def limiter(
        self, identity: str, quotas: Sequence[Quota], terms: Terms = USUAL_TERMS
    ) -> RedisLimiter | LeasedLimiter:
        """A limiter of these quotas; those of equal identity share their counts."""
        known = (identity, tuple(quotas), terms)
        limiter = self._limiters.get(known)
        if limiter is None:
            instead = StandIn(terms.on_failure, lambda: self._memory.limiter(*known))
            if terms.lease:
                limiter = LeasedLimiter(self, identity, known[1], instead, terms.lease)
            else:
                limiter = RedisLimiter(self, identity, known[1], instead)
            self._limiters[known] = limiter
        return limiter

    def failed(self, why: Failure, text: str = "") -> None:
        """A question has got no answer that was of use."""
        self._reach.failed(why, text)

    def close(self) -> None:
        """Give leases back as far as that is possible at once, and drop all connections once
        nobody needs them: requests that have asked already get their answers, and those that
        hold a place in flight hold it to their end."""
        self._ended = True
        for limiter in self._leased():
            limiter.leases.clear()
        self.loop.call_later(self.deadline + _GRACE_SECONDS, self._part)

    def _part(self) -> None:
        if any(limiter.holds for limiter in self._exact()):
            self.loop.call_later(_GRACE_SECONDS, self._part)
        else:
            self.topology.close()

    def _exact(self) -> list[RedisLimiter]:
        return [one for one in self._limiters.values() if isinstance(one, RedisLimiter)]

    def _say_held(self) -> None:
        for limiter in self._exact():
            limiter.say_held()

    def _leased(self) -> list[LeasedLimiter]:
        return [one for one in self._limiters.values() if isinstance(one, LeasedLimiter)]

    async def _tend(self) -> None:
        more = False
        due = self.loop.time() + _HOLD_SECONDS
        while not self._ended or any(limiter.holds for limiter in self._exact()):
            await asyncio.sleep(_AGAIN_SECONDS if more else _SWEEP_SECONDS)
            more = sum(leased.leases.sweep() for leased in self._leased()) > 0
            if self.loop.time() >= due:
                due = self.loop.time() + _HOLD_SECONDS
                self._say_held()
