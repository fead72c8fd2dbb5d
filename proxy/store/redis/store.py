"""The store of limits in Redis: what all its limiters share, and what is done now and then.

May live here: starting and ending, counts and log lines about the store as a whole. Must not
live here: single questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from functools import partial
from typing import Any, Final, Literal
from weakref import WeakValueDictionary

from proxy.config.store import StoreOptions
from proxy.contract import Log, Metrics
from proxy.limits import USUAL_TERMS, Quota, Terms
from proxy.store.memory import Memory
from proxy.store.redis.access import make_access
from proxy.store.redis.limiter import LeasedLimiter, RedisLimiter
from proxy.store.redis.node import Node
from proxy.store.redis.question import Failure
from proxy.store.redis.scripts import HELD_SECONDS
from proxy.store.redis.topology import make_topology
from proxy.store.stand_in import StandIn

_INSTEAD: Final = "limits are counted as `on_store_failure` says"
_SWEEP_SECONDS: Final = 0.2
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
        self._log = log
        self._spawn = spawn
        self._ended = False
        self.connected = asyncio.Event()
        self._complained = False
        self._limiters: WeakValueDictionary[_Known, RedisLimiter | LeasedLimiter] = (
            WeakValueDictionary()
        )
        self._tally = _Tally(metrics)
        self.topology = make_topology(options, make_access(options), loop, spawn, self._told)

    @property
    def ready(self) -> bool:
        """Whether all of its servers can be asked."""
        nodes = self.topology.nodes()
        return bool(nodes) and all(node.usable for node in nodes)

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
        self._tally.failed(why)
        if why == "error" and not self._complained:
            self._complained = True
            self._say("warning", f"the limit store refuses to count; {_INSTEAD}", answer=text[:200])

    def close(self) -> None:
        """Give leases back as far as that is possible at once, and drop all connections."""
        self._ended = True
        for limiter in self._leased():
            limiter.leases.clear()
        # Requests that have asked already get their answers.
        self.loop.call_later(self.deadline + _GRACE_SECONDS, self.topology.close)

    def _leased(self) -> list[LeasedLimiter]:
        return [one for one in self._limiters.values() if isinstance(one, LeasedLimiter)]

    async def _tend(self) -> None:
        since = 0.0
        while not self._ended:
            await asyncio.sleep(_SWEEP_SECONDS)
            for leased in self._leased():
                leased.leases.sweep()
            since += _SWEEP_SECONDS
            if since >= _HOLD_SECONDS:
                since = 0.0
                for limiter in list(self._limiters.values()):
                    if isinstance(limiter, RedisLimiter):
                        limiter.say_held()

    def _told(self, node: Node, why: str) -> None:
        """A server can be asked again, or, for a reason, can't."""
        self._tally.up.set(float(self.ready))
        if self.ready:
            self.connected.set()
        self._tally.changed(up=not why)
        place = "" if node.address is None else node.address.host
        if node.address is not None and node.address.port:
            place = f"{place}:{node.address.port}"
        if why:
            self._say(
                "warning", f"the limit store can't be asked; {_INSTEAD}", server=place, reason=why
            )
        else:
            self._complained = False
            self._say("info", "the limit store answers", server=place)

    def _say(self, level: Literal["info", "warning"], event: str, **facts: str) -> None:
        """Write a log line that belongs to no request, whichever one it came to light by."""
        Context().run(partial(getattr(self._log(), level), event, **facts))


class _Tally:
    """What is counted of a store."""

    def __init__(self, metrics: Metrics) -> None:
        self.up = metrics.gauge(
            "sidegate_rate_limit_store_up",
            "1 while all servers of the limit store can be asked, 0 while one can't.",
            "min",
        )
        self.up.set(0.0)
        self._changes = {
            up: metrics.counter(
                "sidegate_rate_limit_store_changes_total",
                "Servers of the limit store that became able or unable to answer.",
                state="up" if up else "down",
            )
            for up in (True, False)
        }
        whys: tuple[Failure, ...] = ("deadline", "lost", "error", "open")
        self._failures = {
            why: metrics.counter(
                "sidegate_rate_limit_store_failures_total",
                "Questions to the limit store that got no answer of use, or were not put while "
                "its circuit was open.",
                reason=why,
            )
            for why in whys
        }

    def changed(self, *, up: bool) -> None:
        """A server became able or unable to answer."""
        self._changes[up].inc()

    def failed(self, why: Failure) -> None:
        """A question got no answer."""
        self._failures[why].inc()
