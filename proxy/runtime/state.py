"""What lives longer than a configuration: pools, shared counts, clocks.

A reload compiles a new gateway around the same state. Everything here is kept under its full
identity, so that a changed setting gets a state of its own and an unchanged one keeps it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Mapping
from random import Random
from types import MappingProxyType
from typing import Any, Final, TypeVar

from proxy.cells import Traffic
from proxy.config.upstream import Pool as PoolOptions
from proxy.config.upstream import Upstream, UpstreamTimeouts, UpstreamTls
from proxy.contract import Depot, Handler, Log, Metrics, Store, Strain, Target, Toolkit
from proxy.store.trove import Trove
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.endpoint import Endpoint, make_endpoint, open_connection
from proxy.upstream.means import Means
from proxy.upstream.member import Member
from proxy.upstream.part import Part
from proxy.upstream.pool import Pool
from proxy.upstream.report import endpoint_facts
from proxy.wire.deadlines import Deadlines
from proxy.wire.splice import Pipes
from proxy.wire.turn import Turn

T = TypeVar("T")
# For so many seconds, and of so many endpoints, it is remembered how they were.
_MEMORY: Final = 300.0
_MOST_GONE: Final = 1024
_LAST_SECONDS: Final = 1.0
NOWHERE: Mapping[str, str] = MappingProxyType({})

Key = tuple[str, str, str, PoolOptions, UpstreamTimeouts, UpstreamTls, tuple[int, ...]]


class State:
    """The live state of one worker.

    clock: monotonic seconds. wall: seconds since 1970, UTC. uniform: from 0 to less than 1.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        wall: Callable[[], float],
        store: Store,
        trove: Trove,
        metrics: Metrics,
        log: Log,
        traffic: Traffic,
    ) -> None:
        self.loop = loop
        self.clock = clock
        self.wall = wall
        # For choices between endpoints and for jitter, not for secrets.
        self.uniform = Random(os.urandom(16)).random  # noqa: S311
        self.log = log
        self.deadlines = Deadlines(clock)
        self.turn = Turn(loop)
        self.pipes = Pipes()
        self.strain = Strain()
        self.traffic = traffic
        self.store = store
        self.trove = trove
        self.depot: Depot | None = None
        self.metrics = metrics
        self._members: dict[Key, Member] = {}
        # Those that went, and until when it is remembered what was known of them.
        self._gone: dict[Key, tuple[Member, float]] = {}
        self._parts: list[Part] = []
        self._kept: dict[str, Any] = {}
        self._asked_for: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        # Those of them that policies began, which all come to an end by themselves.
        self._asides: set[asyncio.Task[None]] = set()

    def member(
        self, name: str, text: str, upstream: Upstream, called: str = ""
    ) -> tuple[Key, Member]:
        """The endpoint `text` of an upstream, with its pool. called: its name, if not as its
        address is. Raises ValueError if unusable."""
        tls = upstream.tls
        # A CA file that was replaced is another trust, and needs other connections.
        stamps = tuple(map(_stamp, tls.files))
        key = (name, text, called, upstream.pool, upstream.timeouts, tls, stamps)
        member = self._members.get(key)
        if member is None:
            endpoint = make_endpoint(text, upstream.tls, upstream.timeouts, called)

            async def open_(pool: Pool) -> UpstreamConnection:
                return await open_connection(
                    endpoint, pool, self.loop, self.clock, self.deadlines, self.turn
                )

            pool = Pool(name, text, upstream.pool, open_, self.clock, self.loop)
            member = self._members[key] = self._recalled(key, endpoint, pool)
        return key, member

    def adopt(self, keys: set[Key], parts: list[Part]) -> None:
        """Use these from now on, and let go of what only earlier gateways used; busy
        connections finish."""
        for part in self._parts:
            part.stop()
        self._parts = parts
        for part in parts:
            part.start()
        found = {member for part in parts for member in part.members()}
        for key, member in list(self._members.items()):
            if key not in keys and member not in found:
                self.release(member)
        self._kept = {key: self._kept[key] for key in self._asked_for}

    def release(self, member: Member) -> None:
        """Let go of an endpoint; requests that it has finish."""
        for key in [key for key, kept in self._members.items() if kept is member]:
            del self._members[key]
            self._gone[key] = (member, self.clock() + _MEMORY)
        while len(self._gone) > _MOST_GONE:
            del self._gone[next(iter(self._gone))]
        member.pool.retire()

    @property
    def means(self) -> Means:
        """What upstreams are given to work with."""
        return Means(
            self.loop, self.clock, self.wall, self.uniform, self.deadlines, self.turn,
            self.spawn, self.metrics, self.log,
        )  # fmt: skip

    def pools(self) -> list[Pool]:
        """All pools in use."""
        return [member.pool for member in self._members.values()]

    def endpoints(self) -> list[dict[str, Any]]:
        """What an operator is told of each endpoint."""
        now = self.clock()
        return [endpoint_facts(member, now) for member in self._members.values()]

    def balance(self) -> list[dict[str, Any]]:
        """What an operator is told of each upstream that has something to decide."""
        upstreams: dict[str, dict[str, Any]] = {}
        for part in self._parts:
            row = upstreams.setdefault(part.name, {"upstream": part.name})
            row.update(part.facts())
        return list(upstreams.values())

    def keep(self, key: str, make: Callable[[], T]) -> T:
        """State that lives as long as a gateway in use was compiled with it."""
        if key not in self._kept:
            self._kept[key] = make()
        self._asked_for.add(key)
        found: T = self._kept[key]
        return found

    def begin(self) -> None:
        """A configuration is compiled; from here on it is noted what it asks to keep."""
        self._asked_for = set()

    def toolkit(
        self,
        route: str,
        scope: str,
        identity: str,
        target: Target,
        ask: Callable[[str], Handler],
        sampled: Callable[[str], bool] | None = None,
        places: Mapping[str, str] = NOWHERE,
    ) -> Toolkit:
        """What a policy may use of the world."""
        return Toolkit(
            clock=self.clock,
            wall=self.wall,
            random=os.urandom,
            store=self.store,
            trove=self.trove,
            depot=self.depot,
            metrics=self.metrics,
            log=self.log,
            spawn=self._spawn_aside,
            route=route,
            scope=scope,
            identity=identity,
            sampled=sampled,
            strain=self.strain,
            target=target,
            keep=self.keep,
            ask=ask,
            places=places,
        )

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run in the background; a failure is logged, and the task isn't lost to the collector."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def finish(self, seconds: float) -> None:
        """Let what policies do in the background come to its end, for so many seconds at most;
        then break it off."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # What ends may have begun more, as a fetch whose outcome is to be kept.
                while self._asides:
                    await asyncio.wait(self._asides)
        if self._asides:
            for task in self._asides:
                task.cancel()
            await asyncio.wait(self._asides, timeout=_LAST_SECONDS)

    def close(self) -> None:
        """Close all upstream connections and stop background work."""
        for member in self._members.values():
            member.pool.abort()
        for task in list(self._tasks):
            task.cancel()
        self.pipes.close()

    def _recalled(self, key: Key, endpoint: Endpoint, pool: Pool) -> Member:
        """A member with what is known of it, if it went only lately; else a new one."""
        now = self.clock()
        member, until = self._gone.pop(key, (None, now))
        if member is None or until < now:
            return Member(endpoint, pool, now)
        member.pool, member.since = pool, now
        return member

    def _spawn_aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.spawn(work)
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("background task failed", exception_class=type(error).__name__)


def _stamp(path: str) -> int:
    """When a file was last changed, in nanoseconds; 0 when there is none."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
