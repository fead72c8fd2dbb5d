"""One connection to Redis, on which questions share round trips.

May live here: bytes out, bytes in, which answer belongs to which question, and until when it
may come. Must not live here: what is asked, or where Redis is.

All that is asked in one turn of the loop leaves in one write. Answers come in the order of the
questions; one that comes too late is told to nobody, and the next one still belongs to the
next question.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from errno import ECONNRESET
from typing import Any, Final, Protocol, cast

import hiredis

LOST: Final = "the connection was lost"
LATE: Final = "it does not answer in time"

# How often overdue answers are looked for, in seconds, while any are waited for.
_SWEEP: Final = 0.01
# A loop that comes so much later than it was to stood still, and looks after what has come in
# meanwhile first: its own delay is not the server's.
_LATE: Final = 0.005
_SOON: Final = 0.001
# A server that lets so many questions wait is as good as gone.
_WAITING_MAX: Final = 10_000
_NOTHING: Final = object()


def pack(*words: str | bytes | int) -> bytes:
    """A command as it is sent."""
    return bytes(hiredis.pack_command(words))  # type: ignore[arg-type]


class Question(Protocol):
    """Something asked. deadline: monotonic seconds, of the loop."""

    deadline: float

    def answered(self, answer: Any, connection: Connection) -> None:
        """The answer, which may be a `hiredis.ReplyError`."""
        ...

    def overdue(self) -> None:
        """The deadline has passed. An answer that comes later is told to nobody."""
        ...

    def lost(self) -> None:
        """The connection went before the answer came."""
        ...


class Connection(asyncio.Protocol):
    """Asks one server. lost: called once the connection is gone. missed: called with how many
    answers in a row have not come in time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        lost: Callable[[], None],
        missed: Callable[[int], None],
    ) -> None:
        self._loop = loop
        self._lost = lost
        self._missed = missed
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._waiting: deque[Question] = deque()
        self._overdue: set[Question] = set()
        self._misses = 0
        self._sweeping = False
        self._sweep_at = 0.0
        self._held_up = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._transport = None
        waiting, self._waiting = self._waiting, deque()
        overdue, self._overdue = self._overdue, set()
        self._outgoing.clear()
        self._lost()
        for question in waiting:
            if question not in overdue:
                question.lost()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        reader = self._reader
        waiting = self._waiting
        try:
            reader.feed(data)
            while (answer := reader.gets()) is not _NOTHING:
                if not waiting:
                    # Nobody asked: whatever this is, it isn't what it should be.
                    self.abort()
                    return
                question = waiting.popleft()
                if self._overdue and question in self._overdue:
                    self._overdue.discard(question)
                else:
                    self._misses = 0
                    question.answered(answer, self)
        except hiredis.ProtocolError:
            self.abort()

    @property
    def open(self) -> bool:
        """Whether anything can be asked."""
        return self._transport is not None

    def ask(self, question: Question, *commands: bytes) -> None:
        """Send a packed command, or several of which the last one's answer is the answer.

        The answers to those before it are thrown away.
        """
        if self._transport is None or len(self._waiting) >= _WAITING_MAX:
            question.lost()
            return
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        for _ in commands[1:]:
            self._waiting.append(_Ignored(question.deadline))
        self._outgoing.extend(commands)
        self._waiting.append(question)
        if not self._sweeping:
            self._sweeping = True
            self._sweep_in(_SWEEP)

    async def call(self, *words: str | bytes | int, seconds: float) -> Any:
        """The answer to a command, within so many seconds.

        Raises OSError when it doesn't come, and `hiredis.ReplyError` when it is one.
        """
        call = _Call(self._loop, self._loop.time() + seconds)
        self.ask(call, pack(*words))
        answer = await call.future
        if isinstance(answer, hiredis.ReplyError):
            raise answer
        return answer

    def tell(self, command: bytes) -> None:
        """Send a packed command whose answer nobody waits for."""
        self.ask(_Ignored(self._loop.time() + 3600.0), command)

    def abort(self) -> None:
        """Drop the connection; those who wait are told that it is lost."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is not None and self._outgoing:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _sweep_in(self, seconds: float) -> None:
        self._sweep_at = self._loop.time() + seconds
        self._loop.call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = bool(self._waiting)
        if not self._sweeping:
            return
        now = self._loop.time()
        self._held_up = now > self._sweep_at + _LATE and not self._held_up
        self._sweep_in(_SOON if self._held_up else _SWEEP)
        if self._held_up:
            return
        missed = [
            question
            for question in self._waiting
            if question.deadline <= now and question not in self._overdue
        ]
        if not missed:
            return
        self._overdue.update(missed)
        self._misses += len(missed)
        for question in missed:
            question.overdue()
        self._missed(self._misses)


class _Ignored:
    """A question whose answer doesn't matter."""

    __slots__ = ("deadline",)

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline

    def answered(self, answer: Any, connection: Connection) -> None:
        return None

    def overdue(self) -> None:
        return None

    def lost(self) -> None:
        return None


class _Call(_Ignored):
    """A question that somebody awaits."""

    __slots__ = ("future",)

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        super().__init__(deadline)
        self.future: asyncio.Future[Any] = loop.create_future()

    def answered(self, answer: Any, connection: Connection) -> None:
        if not self.future.done():
            self.future.set_result(answer)

    def overdue(self) -> None:
        if not self.future.done():
            self.future.set_exception(TimeoutError())

    def lost(self) -> None:
        if not self.future.done():
            self.future.set_exception(ConnectionResetError(ECONNRESET, LOST))
