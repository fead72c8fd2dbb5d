"""What a worker has in Redis: the store of limits, and the depot of the cache.

May live here: what a configuration asks for, when it is opened, and when it is no longer
needed. Must not live here: what it is for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from proxy.config.cache import CacheStore
from proxy.config.model import Config
from proxy.config.problems import ConfigError
from proxy.config.store import RedisOptions, StoreOptions
from proxy.contract import Log, Metrics, Store
from proxy.process.source import Generation
from proxy.store.memory import Memory
from proxy.store.redis.depot import Depot
from proxy.store.redis.store import RedisStore
from proxy.store.trove import Trove

_FIRST_SECONDS: Final = 1.0


class _Remote(Protocol):
    """connected: set once it can be used."""

    connected: asyncio.Event

    def start(self) -> None: ...

    def close(self) -> None: ...


Options = TypeVar("Options", bound=RedisOptions)
Opened = TypeVar("Opened", bound=_Remote)


class Remotes:
    """For the configurations in use. memory: counts limits where Redis isn't to. trove: purged
    by what other instances say. spawn: runs a task. random: bytes that nobody guesses. log: of
    the configuration in use.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        memory: Memory,
        trove: Trove,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        random: Callable[[int], bytes],
        metrics: Metrics,
        log: Callable[[], Log],
    ) -> None:
        self._memory = memory
        self._trove = trove

        def name() -> bytes:
            # No other worker anywhere has it, and no store that was open before: requests in
            # flight may outlast one, so what they hold is told from what the next one's do.
            return random(6).hex().encode()

        self._stores: _Kind[StoreOptions, RedisStore] = _Kind(
            lambda options: RedisStore(options, memory, name(), loop, spawn, metrics, log)
        )
        self._depots: _Kind[CacheStore, Depot] = _Kind(
            lambda options: Depot(options, loop, spawn, trove.purge, random, metrics, log)
        )

    def find(self, generation: Generation) -> tuple[Store, Depot | None]:
        """Where limits are counted, and what caches share. Raises ConfigError for files that
        can't be used."""
        config = generation.plan.config
        return (
            _usable(generation, ("store",), partial(self._stores.get, config.store))
            or self._memory,
            _usable(generation, ("cache", "store"), partial(self._depots.get, config.cache.store)),
        )

    async def connected(self, config: Config) -> None:
        """Give what a configuration asks for a moment to connect before it is needed."""
        await asyncio.gather(
            self._stores.connected(config.store), self._depots.connected(config.cache.store)
        )

    def keep_only(self, config: Config) -> None:
        """Close what this configuration doesn't ask for."""
        self._stores.keep_only(config.store)
        self._depots.keep_only(config.cache.store)
        self._trove.depot = self._depots.get(config.cache.store)

    def close(self) -> None:
        """Close everything."""
        self._stores.close()
        self._depots.close()


class _Kind(Generic[Options, Opened]):
    """Those of one kind that are open, one for all configurations of the same options.

    make: one of some options; raises ValueError for files that can't be used.
    """

    def __init__(self, make: Callable[[Options], Opened]) -> None:
        self._make = make
        self._open: dict[Options, Opened] = {}

    def get(self, options: Options) -> Opened | None:
        if not options.remote:
            return None
        remote = self._open.get(options)
        if remote is None:
            remote = self._open[options] = self._make(options)
            remote.start()
        return remote

    def keep_only(self, options: Options) -> None:
        for other in [other for other in self._open if other != options]:
            self._open.pop(other).close()

    async def connected(self, options: Options) -> None:
        remote = self._open.get(options)
        if remote is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_SECONDS):
                    await remote.connected.wait()

    def close(self) -> None:
        for remote in self._open.values():
            remote.close()
        self._open.clear()


def _usable(
    generation: Generation, path: tuple[str, ...], get: Callable[[], Opened | None]
) -> Opened | None:
    try:
        return get()
    except ValueError as error:
        raise ConfigError([generation.document.problem((*path, "tls"), str(error))]) from None
