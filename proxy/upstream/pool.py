"""The connections kept to one endpoint.

`size` are kept when idle, and `overflow` more for as long as a rush lasts; beyond that, requests
wait in order of arrival. Idle connections are taken last in, first out, so that a quiet
pool shrinks. What has become a tunnel is counted apart, since it may last for hours and do
nothing. Everything a request needs is O(1). The pool knows connections by what it
calls on them and opens them by a function that is handed in.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from proxy.cells import Histogram
from proxy.config.upstream import Pool as PoolOptions
from proxy.errors import Unsent
from proxy.upstream.connection import UpstreamConnection

# Seconds for which a rush that pauses is no less a rush: closed at once, connections beyond
# `size` were opened anew at every turn of it.
_RUSH: Final = 1.0

_Waiter = asyncio.Future[UpstreamConnection | None]


class Pool:
    """Connections to one endpoint, and who waits for one.

    opened, closed, acquire, retries: cells that the metrics read.
    """

    def __init__(
        self,
        upstream: str,
        endpoint: str,
        options: PoolOptions,
        open_: Callable[[Pool], Awaitable[UpstreamConnection]],
        clock: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.upstream = upstream
        self.endpoint = endpoint
        self.size = options.size
        self.overflow = options.overflow
        self._options = options
        self._open = open_
        self._clock = clock
        self._loop = loop
        self._idle: dict[UpstreamConnection, None] = {}
        self._busy: set[UpstreamConnection] = set()
        self._tunnels: set[UpstreamConnection] = set()
        self._handshakes = 0
        self._opening = 0
        self._waiters: deque[_Waiter] = deque()
        self._retired = False
        self.opened = 0
        self.closed: dict[str, int] = {}
        self.acquire = Histogram()
        self.retries: dict[str, int] = {}

    @property
    def in_use(self) -> int:
        """Connections that serve a request, or are being opened for one."""
        return len(self._busy) + self._opening

    @property
    def idle(self) -> int:
        """Connections ready for a request."""
        return len(self._idle)

    @property
    def available(self) -> bool:
        """A request would get a connection, or could open one, without waiting."""
        return bool(self._idle) or self._room()

    @property
    def tunnels(self) -> int:
        """Tunnels that are open or asked for."""
        return len(self._tunnels) + self._handshakes

    @property
    def tunnel_available(self) -> bool:
        """One more tunnel may be asked for."""
        return self.tunnels < self._options.tunnels

    @property
    def load(self) -> int:
        """What balancing compares: connections in use, and requests that wait for one."""
        return len(self._busy) + self._opening + len(self._waiters)

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return sum(1 for waiter in self._waiters if not waiter.done())

    def take(self, careful: bool, now: float) -> UpstreamConnection | None:
        """A live idle connection at once, or None.

        careful: the request can't be repeated, so ask the kernel about the socket first.
        now: the present, in monotonic seconds.
        """
        idle = self._idle
        while idle:
            connection, _ = idle.popitem()
            if now - connection.born >= self._options.max_lifetime:
                self._retire(connection, "lifetime")
            elif connection.alive(now, careful):
                self._busy.add(connection)
                self.acquire.cells[0] += 1
                return connection
            else:
                self._retire(connection, "dead")
        return None

    async def get(self, careful: bool, fresh: bool = False) -> UpstreamConnection:
        """A connection, waiting for one if need be.

        fresh: a new one if there is room for it. Raises Unsent `pool_exhausted` after
        `acquire_timeout`, and Unreachable when opening fails.
        """
        started = self._clock()
        if not fresh or not self._room():
            connection = self.take(careful, started)
            if connection is not None:
                return connection
        first = False
        while not self._room() or (self._live_waiters() and not first):
            given = await self._wait(started, first)
            if given is None:
                # A slot became free rather than a connection.
                return await self._open_one(started, reserved=True)
            if given.alive(self._clock(), careful):
                self.acquire.observe(self._clock() - started)
                return given
            # It died between its release and now: its slot is ours, if nobody else took it.
            if given in self._busy:
                self._busy.discard(given)
                self._opening += 1
                self._retire(given, "dead")
                return await self._open_one(started, reserved=True)
            first = True
        return await self._open_one(started)

    def release(self, connection: UpstreamConnection) -> None:
        """The connection's exchange is over, and it can serve another; unknown ones are fine."""
        try:
            self._busy.remove(connection)
        except KeyError:
            return
        now = self._clock()
        connection.idle_since = now
        if self._retired:
            self._retire(connection, "retired")
        elif now - connection.born >= self._options.max_lifetime:
            self._retire(connection, "lifetime")
        elif (waiter := self._next_waiter()) is not None:
            self._busy.add(connection)
            waiter.set_result(connection)
            return
        else:
            keep = self._options.max_idle
            if connection.keep >= 0:
                # The upstream said when it hangs up; be a second earlier.
                keep = min(keep, max(connection.keep - 1.0, 0.5))
            if len(self._idle) >= self.size:
                keep = min(keep, _RUSH)
            self._idle[connection] = None
            connection.deadline = now + keep
            return
        self._free_slot()

    @contextlib.contextmanager
    def handshake(self) -> Iterator[None]:
        """Hold a place while a tunnel is asked for. Raises Unsent `tunnels_exhausted`."""
        if not self.tunnel_available:
            raise Unsent("tunnels_exhausted", headers=(("Retry-After", "1"),), cause=self.endpoint)
        self._handshakes += 1
        try:
            yield
        finally:
            self._handshakes -= 1

    def joined(self, connection: UpstreamConnection) -> None:
        """The connection has become a tunnel, and leaves its place to others."""
        self._busy.remove(connection)
        self._tunnels.add(connection)
        self._free_slot()

    def discard(self, connection: UpstreamConnection, reason: str) -> None:
        """The connection is closed or must not be used again; unknown ones are fine."""
        if connection in self._busy:
            self._busy.discard(connection)
        elif connection in self._tunnels:
            self._tunnels.discard(connection)
        elif connection in self._idle:
            if reason == "idle" and len(self._idle) > self.size:
                reason = "overflow"
            del self._idle[connection]
        else:
            return
        self.closed[reason] = self.closed.get(reason, 0) + 1
        self._free_slot()

    def count_retry(self, reason: str) -> None:
        """Count a request that was asked again, here or at another endpoint."""
        self.retries[reason] = self.retries.get(reason, 0) + 1

    def retire(self) -> None:
        """Close what is idle, and what is busy once it is free; the pool is going away."""
        self._retired = True
        for connection in list(self._idle):
            connection.close("retired")

    def abort(self) -> None:
        """Close everything now."""
        self.retire()
        for connection in [*self._busy, *self._tunnels]:
            connection.abort("shutdown")

    def _room(self) -> bool:
        return len(self._busy) + len(self._idle) + self._opening < self.size + self.overflow

    def _retire(self, connection: UpstreamConnection, reason: str) -> None:
        self.closed[reason] = self.closed.get(reason, 0) + 1
        connection.close(reason)

    async def _open_one(self, started: float, reserved: bool = False) -> UpstreamConnection:
        if not reserved:
            self._opening += 1
        try:
            connection = await self._open(self)
        except BaseException:
            self._opening -= 1
            self._free_slot()
            raise
        self._opening -= 1
        self.opened += 1
        self.acquire.observe(self._clock() - started)
        # As of its birth: the kernel isn't asked, as a new TLS connection may have tickets
        # waiting to be read.
        if connection.alive(connection.born, False):
            self._busy.add(connection)
        else:
            # Closed as soon as it was opened: whoever asks it is told, and no slot is lost.
            self._retire(connection, "dead")
            self._free_slot()
        return connection

    async def _wait(self, started: float, first: bool) -> UpstreamConnection | None:
        waiter: _Waiter = self._loop.create_future()
        if first:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._options.acquire_timeout - (self._clock() - started)):
                return await waiter
        except TimeoutError:
            self._give_back(waiter)
            self.acquire.observe(self._clock() - started)
            raise Unsent(
                "pool_exhausted", headers=(("Retry-After", "1"),), cause=self.endpoint
            ) from None
        except asyncio.CancelledError:
            self._give_back(waiter)
            raise
        finally:
            waiter.cancel()
            # Those who gave up must not pile up while nothing becomes free.
            self._live_waiters()

    def _give_back(self, waiter: _Waiter) -> None:
        """A waiter that gave up may have been served in the same moment."""
        if waiter.done() and not waiter.cancelled():
            connection = waiter.result()
            if connection is None:
                self._opening -= 1
                self._free_slot()
            else:
                self.release(connection)

    def _next_waiter(self) -> _Waiter | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _live_waiters(self) -> bool:
        while self._waiters and self._waiters[0].done():
            self._waiters.popleft()
        return bool(self._waiters)

    def _free_slot(self) -> None:
        if self._waiters and self._room():
            waiter = self._next_waiter()
            if waiter is not None:
                self._opening += 1
                waiter.set_result(None)
