"""One response of the service that several clients read while it comes.

May live here: who waits for it, who has read how far, what is held for whom. Must not live
here: how it is asked for, or whether it is kept (`fetch`).

The pieces of the body are held until it is complete, as they are what is going to be
stored; each reader goes at its own pace, and those who come late begin at the beginning. A
body that grows beyond what may be held becomes a window instead: nothing of it is stored,
nobody joins any more, and it is read from the service as fast as the fastest reader takes
it. Whoever falls behind by more than the window holds is cut off rather than waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from proxy.contract import BodyStream, Response, Ticket
from proxy.errors import Aborted
from proxy.http1.headers import Headers
from proxy.policies.cache.collect import Finished
from proxy.policies.cache.entry import Entry
from proxy.policies.cache.storing import Terms

WINDOW: Final = 1024 * 1024
"""Bytes of a body too large to be held as a whole that a reader may fall behind."""

# What a piece takes besides its bytes: a service may send them one at a time.
_PIECE_WEIGHT: Final = 64


class When(NamedTuple):
    """When a response came, and how long that took.

    received: monotonic seconds. wall: the same in seconds since 1970. taken: seconds since
    it was asked for.
    """

    received: float
    wall: float
    taken: float


@dataclass(slots=True)
class Landing:
    """What became of a fetch, for those who waited for its head.

    entry: what is stored and may answer them all. stale: it is past its time, and used for
    this reason. response: for the one who began the fetch, and for nobody else. terms, when:
    on which the response may be stored once its body is complete, and when it came. shared:
    everybody may read the body from the flight; `place` is where it is going to stand, and
    `fields` are those it came with. error: what to raise. status: of what the
    service answered. stored: the answer is kept, or will be. why: the reason for which it
    isn't. recalled: another instance had it, and the service wasn't asked.
    """

    entry: Entry | None = None
    stale: str = ""
    response: Response | None = None
    terms: Terms | None = None
    when: When | None = None
    shared: bool = False
    place: str = ""
    fields: Headers | None = None
    error: BaseException | None = None
    status: int = 0
    stored: bool = False
    why: str = ""
    recalled: bool = False


class Carried(NamedTuple):
    """A body on its way to those who read it from a flight. finished: told of it at its end."""

    body: BodyStream
    finished: Finished


def unread(landing: Landing, response: Response) -> bool:
    """A response is replaced by what is stored, and nobody would ever read its body."""
    return landing.response is None and not isinstance(response.body, bytes)


async def discard(response: Response) -> None:
    """Read nothing more of a response."""
    if not isinstance(response.body, bytes):
        await response.body.aclose()


class Flight:
    """A fetch under way.

    ticket: void when the URL was purged meanwhile. reserve: asks for room for so many bytes.
    limit: most bytes that are held. cancel: breaks the fetch off, once nobody is left who
    wants it; a fetch in the `background` goes on without anybody. led: whoever began it is told
    of its landing, and doesn't wait as the others do. open: all of the body so far is held, and
    more readers may come.
    """

    __slots__ = (
        "_dropped", "_error", "_hungry", "_limit", "_pieces", "_readers", "_reserve", "_reserved",
        "_waiters", "abandoned", "background", "cancel", "complete", "landing", "led", "open",
        "size", "ticket",
    )  # fmt: skip

    def __init__(
        self, ticket: Ticket, limit: int, reserve: Callable[[int], bool], background: bool
    ) -> None:
        self.ticket = ticket
        self.background = background
        self.cancel: Callable[[], object] | None = None
        self.landing: Landing | None = None
        self.abandoned = False
        self.led = False
        self.complete = False
        self.open = True
        self.size = 0
        self._limit = limit
        self._reserve = reserve
        self._reserved = 0
        self._pieces: list[bytes] = []
        self._dropped = 0
        self._error: BaseException | None = None
        self._readers: set[Reader] = set()
        self._waiters: list[asyncio.Future[Reader | None]] = []
        self._hungry: list[asyncio.Future[None]] = []

    async def landed(self, patience: float | None = None) -> tuple[Landing | None, Reader | None]:
        """Wait for the head, for so many seconds; the landing, and the body if it is shared.

        Call it only while the flight is `open`. A landing of None means that it took longer.
        """
        if self.landing is not None:
            return self.landing, self.reader() if self.landing.shared else None
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Reader | None] = loop.create_future()
        timer = None if patience is None else loop.call_later(patience, _give_up, waiter)
        self._waiters.append(waiter)
        try:
            reader = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and (mine := waiter.result()) is not None:
                await mine.aclose()
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                self._left()
        return self.landing, reader

    def land(self, landing: Landing) -> None:
        """The head is there, or will never be."""
        self.landing = landing
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                # A reader at once: the body may grow beyond what is held before it wakes.
                waiter.set_result(self.reader() if landing.shared else None)

    def pieces(self) -> tuple[bytes, ...]:
        """All of the body, of a flight that is `open` and `complete`."""
        return tuple(self._pieces)

    async def feed(self, piece: bytes) -> None:
        """More of the body has come; returns when more may come."""
        self.size += len(piece)
        self._pieces.append(piece)
        if self.open:
            weight = len(piece) + _PIECE_WEIGHT
            if self._reserved + weight > self._limit or not self._reserve(weight):
                self.open = False
                self._release()
            else:
                self._reserved += weight
        self._feed_hungry()
        if not self.open:
            await self._pace()

    def finish(self, error: BaseException | None = None) -> None:
        """The body is complete, or has failed."""
        self.complete = error is None
        self._error = error
        if error is not None:
            self.open = False
        self._release()
        self._feed_hungry()

    def reader(self) -> Reader:
        """The body from its beginning, of a flight that is `open`."""
        reader = Reader(self)
        self._readers.add(reader)
        return reader

    def _release(self) -> None:
        if self._reserved:
            self._reserve(-self._reserved)
            self._reserved = 0

    async def _pace(self) -> None:
        """Wait until the fastest reader is nearly done; let go of what all have read."""
        while True:
            read = [reader.passed for reader in self._readers]
            if self.led and not read:
                # Whoever began it is about to.
                await self.more()
                continue
            if not read:
                # Whoever read it has gone, and nothing is stored of it.
                self._drop(self._dropped + len(self._pieces))
                self._left()
                return
            if self.size - max(read) < WINDOW:
                break
            await self.more()
        for reader in [one for one in self._readers if self.size - one.passed > 2 * WINDOW]:
            reader.cut_off()
            self._readers.discard(reader)
        self._drop(min(reader.place for reader in self._readers))

    def _drop(self, place: int) -> None:
        del self._pieces[: place - self._dropped]
        self._dropped = place

    async def more(self) -> None:
        """Return when something has changed: more of the body, or less to wait for."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hungry.append(waiter)
        await waiter

    def next_piece(self, place: int) -> bytes | None:
        """The piece of this number; None when the body is complete or it isn't there yet."""
        number = place - self._dropped
        if number < len(self._pieces):
            if not self.open:
                self._feed_hungry()
            return self._pieces[number]
        if self._error is not None:
            raise self._error.with_traceback(None)
        return None

    def leave(self, reader: Reader) -> None:
        """A reader goes, at the end or before it."""
        if reader in self._readers:
            self._readers.discard(reader)
            self._feed_hungry()
            self._left()

    def desert(self) -> None:
        """Whoever began it wants to be told no more."""
        self.led = False
        self._left()

    def _feed_hungry(self) -> None:
        hungry, self._hungry = self._hungry, []
        for waiter in hungry:
            if not waiter.done():
                waiter.set_result(None)

    def _left(self) -> None:
        """Break the fetch off if the last who wanted it has gone."""
        if self._waiters or self._readers or self.led or self.background or self.complete:
            return
        if self.landing is not None and not self.landing.shared:
            return
        self.abandoned = True
        if self.cancel is not None:
            self.cancel()


class Reader:
    """A body that is read from a flight.

    place: the number of the next piece. passed: bytes of those before it.
    """

    __slots__ = ("_cut", "_flight", "passed", "place")

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self._cut = False
        self.place = 0
        self.passed = 0

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> bytes:
        """The next piece. Raises what made the fetch fail."""
        flight = self._flight
        while not self._cut:
            piece = flight.next_piece(self.place)
            if piece is not None:
                self.place += 1
                self.passed += len(piece)
                return piece
            if flight.complete:
                raise StopAsyncIteration
            await flight.more()
        raise Aborted("upstream_closed", cause="fell too far behind a shared response")

    async def aclose(self) -> None:
        """Read no further."""
        self._flight.leave(self)

    def cut_off(self) -> None:
        """Fail at the next piece."""
        self._cut = True


def _give_up(waiter: asyncio.Future[Reader | None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
