"""Limiters whose counts are in Redis: asked about each request, or for leases.

May live here: what an answer means for a request, and what happens when none comes. Must not
live here: how questions are put (`question`), or how leases are kept (`leases`).

A question is a future, which gets its reading when the answer comes, and the stand-in's when
none comes in time; whoever waits for it waits no longer than the deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import hiredis

from proxy.errors import Refused
from proxy.limits import Quota, Reading
from proxy.store.redis.connection import Connection, pack
from proxy.store.redis.leases import Leases
from proxy.store.redis.question import Asker, Circumstances, Deed
from proxy.store.redis.scripts import read_answer
from proxy.store.stand_in import StandIn, taken_here


class RedisLimiter:
    """A `RemoteLimiter`.

    held: places in flight of this worker by key, where that is what is counted.
    """

    prompt: Final = False

    def __init__(
        self, store: Circumstances, identity: str, quotas: tuple[Quota, ...], stand_in: StandIn
    ) -> None:
        self._asker = Asker(store, identity, quotas)
        self._store = store
        self._stand_in = stand_in
        self._in_flight = any(quota.algorithm == "concurrency" for quota in quotas)
        self._held: dict[str, int] = {}
        self._asked: dict[str, int] = {}

    def take(self, key: str, cost: int = 1) -> Reading | asyncio.Future[Reading]:
        """Take `cost` from every quota of the key, or nothing if one has no room for it."""
        if self._in_flight:
            return self._take_place(key, cost)
        return self._ask(key, "take", cost)

    def look(self, key: str, cost: int = 1) -> asyncio.Future[Reading]:
        """Whether `cost` would be admitted; takes nothing, and `remaining` is without it."""
        return self._ask(key, "look", cost)

    def charge(self, key: str, cost: int) -> None:
        """Take `cost` from every quota, whether there is room for it or not."""
        self._asker.ask(
            self._asker.home(key),
            "charge",
            cost,
            failed=lambda: self._stand_in.charge(key, cost),
        )

    def give_back(self, key: str, cost: int, reading: Reading) -> None:
        """Undo what `take` took, as far as it still counts. reading: its answer."""
        if taken_here(reading):
            self._stand_in.give_back(key, cost, reading)
            return
        if self._in_flight:
            self._hold(key, -1)
        self._asker.ask(self._asker.home(key), "give", cost, times=reading)

    async def reset(self, key: str) -> None:
        """Forget the key. Raises Refused `limit_unavailable` when that can't be done."""
        home = self._asker.home(key)
        node = self._store.topology.node(home.slot)
        done: asyncio.Future[None] = self._store.loop.create_future()
        if node is None or not node.usable:
            raise Refused("limit_unavailable")
        node.ask(_Erasure(done, self._store), pack("DEL", *home.keys))
        await done
        self._held.pop(key, None)

    def reachable(self, key: str) -> bool:
        """Whether there is any use in asking about a key."""
        node = self._store.topology.node(self._asker.home(key).slot)
        return node is not None and node.usable

    def lease(
        self,
        key: str,
        cost: int,
        more: int,
        since: float,
        answered: Callable[[int, Reading], None],
        failed: Callable[[], None],
    ) -> None:
        """As `leases.Source`."""
        self._asker.ask(
            self._asker.home(key),
            "lease",
            cost,
            more=more,
            since=since,
            answered=lambda answer: answered(answer[1], read_answer(answer)),
            failed=failed,
        )

    @property
    def holds(self) -> bool:
        """Whether any request of this worker is in flight, where that is what is counted."""
        return any(self._held.values())

    def say_held(self) -> None:
        """Tell Redis how many requests are in flight, so that their places aren't taken for a
        dead worker's; and set right what a lost answer may have left behind."""
        for key, count in list(self._held.items()):
            if not self._asked.get(key):
                self._asker.ask(self._asker.home(key), "hold", count)
            if not count:
                del self._held[key]

    def _ask(self, key: str, deed: Deed, cost: int) -> asyncio.Future[Reading]:
        future: asyncio.Future[Reading] = self._store.loop.create_future()

        def answered(answer: list[int]) -> None:
            if not future.done():
                future.set_result(read_answer(answer))

        self._asker.ask(
            self._asker.home(key),
            deed,
            cost,
            answered=answered,
            failed=lambda: self._instead(future, key, deed, cost),
        )
        return future

    def _take_place(self, key: str, cost: int) -> asyncio.Future[Reading]:
        future: asyncio.Future[Reading] = self._store.loop.create_future()
        home = self._asker.home(key)
        self._asked[key] = self._asked.get(key, 0) + 1

        def settled() -> None:
            self._asked[key] -= 1
            if not self._asked[key]:
                del self._asked[key]

        def answered(answer: list[int]) -> None:
            settled()
            reading = read_answer(answer)
            granted = all(verdict.allowed for verdict in reading)
            if future.done():
                # Who asked has gone away.
                if granted:
                    self._asker.ask(home, "give", cost, times=reading)
                return
            if granted:
                self._hold(key, 1)
            future.set_result(reading)

        def failed() -> None:
            settled()
            # Whether it was granted isn't known: what is held is said again.
            self._hold(key, 0)
            self._instead(future, key, "take", cost)

        self._asker.ask(home, "take", cost, answered=answered, failed=failed)
        return future

    def _hold(self, key: str, change: int) -> None:
        self._held[key] = max(0, self._held.get(key, 0) + change)

    def _instead(self, future: asyncio.Future[Reading], key: str, deed: Deed, cost: int) -> None:
        if not future.done():
            ask = self._stand_in.look if deed == "look" else self._stand_in.take
            stand_in(future, ask, key, cost)


class LeasedLimiter:
    """A `RemoteLimiter` that takes some ahead. lease: how many, for each key."""

    prompt: Final = False

    def __init__(
        self,
        store: Circumstances,
        identity: str,
        quotas: tuple[Quota, ...],
        stand_in: StandIn,
        lease: int,
    ) -> None:
        self._exact = RedisLimiter(store, identity, quotas, stand_in)
        self._store = store
        self._stand_in = stand_in
        self.leases = Leases(self._exact, lease, store.loop.time)

    def take(self, key: str, cost: int = 1) -> Reading | asyncio.Future[Reading]:
        """Take `cost` from what is in hand, or wait for more."""
        reading = self.leases.take(key, cost)
        if reading is not None:
            return reading
        if not self._exact.reachable(key):
            return self._stand_in.take(key, cost)
        future: asyncio.Future[Reading] = self._store.loop.create_future()

        def answered(reading: Reading | None) -> None:
            if future.done():
                return
            if reading is not None:
                future.set_result(reading)
            else:
                stand_in(future, self._stand_in.take, key, cost)

        self.leases.wait(key, cost, answered)
        return future

    def look(self, key: str, cost: int = 1) -> asyncio.Future[Reading]:
        """What Redis says, without what workers have in hand."""
        return self._exact.look(key, cost)

    def charge(self, key: str, cost: int) -> None:
        """Take `cost` from every quota, whether there is room for it or not."""
        self._exact.charge(key, cost)

    def give_back(self, key: str, cost: int, reading: Reading) -> None:
        """Undo what `take` took, as far as it still counts. reading: its answer."""
        self._exact.give_back(key, cost, reading)

    async def reset(self, key: str) -> None:
        """Forget the key. Raises Refused `limit_unavailable` when that can't be done."""
        await self._exact.reset(key)
        self.leases.forget(key)


def stand_in(
    future: asyncio.Future[Reading], ask: Callable[[str, int], Reading], key: str, cost: int
) -> None:
    """Let a stand-in answer. ask: one of its questions."""
    try:
        future.set_result(ask(key, cost))
    except Refused as refusal:
        future.set_exception(refusal)


class _Erasure:
    """Waits until something is deleted."""

    def __init__(self, done: asyncio.Future[None], store: Circumstances) -> None:
        self._done = done
        self.deadline = store.loop.time() + store.deadline

    def answered(self, answer: Any, connection: Connection) -> None:
        """Called by the connection."""
        if isinstance(answer, hiredis.ReplyError):
            self.lost()
        elif not self._done.done():
            self._done.set_result(None)

    def overdue(self) -> None:
        """Called by the connection."""
        self.lost()

    def lost(self) -> None:
        """Called by the connection."""
        if not self._done.done():
            self._done.set_exception(Refused("limit_unavailable"))
