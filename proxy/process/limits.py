"""Where a worker counts limits: in its own memory, in memory that all workers share, or in Redis.

May live here: which store a configuration asks for, and when one is no longer needed. Must not
live here: counting.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from proxy.config.problems import ConfigError
from proxy.config.store import StoreOptions
from proxy.contract import Log, Metrics, Store
from proxy.control.segments import OwnSegments, Segments
from proxy.process.source import Generation
from proxy.store.memory import Memory
from proxy.store.redis.store import RedisStore
from proxy.store.region import Region, size_of

# With the version of its layout, which an upgrade may change.
_SEGMENT: Final = "limits/1"
_FIRST_SECONDS: Final = 1.0


def open_memory(
    segments: Segments,
    number: int,
    workers: int,
    keys: int,
    metrics: Metrics,
    clock: Callable[[], float],
    wall: Callable[[], float],
    random: Callable[[int], bytes],
) -> Memory:
    """A store in memory. number: of this worker, of so many `workers`. keys: held at once. The
    rest is as in a policy's toolkit.

    Raises SegmentError when there is no memory to be had.
    """
    if isinstance(segments, OwnSegments):
        region = Region.private(random(16), keys)
    else:
        memory = segments.open(_SEGMENT, size_of(keys, workers))
        region = Region.shared(memory, keys, workers, worker=number, secret=random(16), wall=wall)
    lost = metrics.counter(
        "sidegate_rate_limit_keys_evicted_total",
        "Keys that the memory of limits forgot before their time, as there were too many.",
    )
    for table in (region.narrow, region.wide, region.flight):
        table.lost = lost.inc
    jammed = metrics.counter(
        "sidegate_rate_limit_locks_jammed_total",
        "Questions to the memory of limits that found it locked by a worker that stood still.",
    )
    return Memory(region, clock, wall, number, failed=jammed.inc)


class Stores:
    """The stores of the configurations in use. memory: counts where no other store is given.

    spawn: runs a task. log: of the configuration in use.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        memory: Memory,
        name: bytes,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        metrics: Metrics,
        log: Callable[[], Log],
    ) -> None:
        self._loop = loop
        self._memory = memory
        self._name = name
        self._opened = 0
        self._spawn = spawn
        self._metrics = metrics
        self._log = log
        self._open: dict[StoreOptions, RedisStore] = {}

    def get(self, options: StoreOptions) -> Store:
        """The store that options describe. Raises ValueError for files that can't be used."""
        if not options.remote:
            return self._memory
        store = self._open.get(options)
        if store is None:
            self._opened += 1
            # Requests in flight may outlast a store, so what they hold is told from what the
            # next one's do.
            name = b"%s.%d" % (self._name, self._opened)
            store = self._open[options] = RedisStore(
                options, self._memory, name, self._loop, self._spawn, self._metrics, self._log
            )
            store.start()
        return store

    def find(self, generation: Generation) -> Store:
        """The store of a configuration. Raises ConfigError for files that can't be used."""
        try:
            return self.get(generation.plan.config.store)
        except ValueError as error:
            problem = generation.document.problem(("store", "tls"), str(error))
            raise ConfigError([problem]) from None

    def keep_only(self, options: StoreOptions) -> None:
        """Close all others."""
        for other in [other for other in self._open if other != options]:
            self._open.pop(other).close()

    async def connected(self, options: StoreOptions) -> None:
        """Give a store a moment to connect before it is needed."""
        store = self._open.get(options)
        if store is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_SECONDS):
                    await store.connected.wait()

    def close(self) -> None:
        """Close them all."""
        for store in self._open.values():
            store.close()
        self._open.clear()
