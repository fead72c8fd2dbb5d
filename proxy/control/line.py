"""Questions and notices between the processes of an instance: the contract to build upon.

With `server.workers` above 1 a supervisor without traffic starts the workers, and has a
line to each. Its two ends are alike:

- `on(name, handler)`: what this end does when asked, or told, by that name. The handler is
  given the argument and returns the answer, or an awaitable of it.
- `await ask(name, argument)`: the other end's answer.
- `tell(name, argument)`: the same without an answer.

Features seldom use a line itself. What the admin API or a policy asks of *all* workers goes
through a `Crew`, which is the same with one process as with many:

    answers = await crew.ask_all("limits", {"key": "203.0.113.7"})

and on the worker's side, where the worker is put together (`process.worker`):

    commands["limits"] = lambda argument: store.usage(argument["key"])

A worker has a `Colleagues`, by which it asks and tells the others in the same way.

Arguments and answers are plain values, or anything that can be pickled; sockets and
`channel.Descriptor`s among them are handed over open. Names are verbs or nouns in lower
case, and each is used by one feature only. Memory that all workers share, replacements of
crashed ones included, comes from `segments`.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final, NamedTuple, Protocol

from proxy.control.channel import Channel

ANSWER_SECONDS: Final = 5.0
"""How long an answer may take, unless the question says otherwise."""
GLANCE_SECONDS: Final = 1.5
"""How long it may where a silent worker is better named than waited for."""

Handler = Callable[[Any], Any | Awaitable[Any]]
"""Answers a question: its argument to a value, or to an awaitable of one."""


class Unanswered(Exception):
    """A question has no answer: the other end is gone, too slow, or failed; the text says."""


class Answers(NamedTuple):
    """What workers say. given: by their numbers, in order. silent: the numbers of those that
    didn't answer in time, or don't serve just now."""

    given: dict[int, Any]
    silent: list[int]


class Crew(Protocol):
    """Those who serve: this process alone, or several workers."""

    async def ask_all(self, name: str, argument: Any = None) -> list[Any]:
        """The answers of all workers that serve, in the order of their numbers.

        A worker that fails to answer is logged and left out.
        """
        ...


class Colleagues(Protocol):
    """The workers of an instance, as one of them sees them."""

    async def ask_all(self, name: str, argument: Any = None) -> list[Any]:
        """The answers of all workers, this one's among them."""
        ...

    def tell_others(self, name: str, argument: Any = None) -> None:
        """Let the other workers know; what can't be delivered is lost."""
        ...


class Line:
    """One end of a line. lost: called once, when the other end is gone.

    On the wire a question is `(number, name, argument)` and its answer `(-number, value,
    failure)`; a notice has the number 0. Plain tuples, since at an upgrade the two ends may
    be of different versions.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        lost: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._lost = lost
        self._handlers: dict[str, Handler] = {}
        self._numbers = count(1)
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._channel = Channel(loop, sock, self._receive, self._cut)

    def on(self, name: str, handler: Handler) -> None:
        """Answer questions and take notices of this name."""
        self._handlers[name] = handler

    async def ask(self, name: str, argument: Any = None, *, seconds: float = ANSWER_SECONDS) -> Any:
        """The other end's answer. Raises Unanswered."""
        if self._channel.closed:
            raise Unanswered(f"{name}: the process is gone")
        number = next(self._numbers)
        future = self._open[number] = self._loop.create_future()
        try:
            self._channel.send((number, name, argument))
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            raise Unanswered(f"{name}: no answer within {seconds:g} s") from None
        finally:
            self._open.pop(number, None)

    def tell(self, name: str, argument: Any = None) -> None:
        """Let the other end know; lost when it is gone."""
        self._channel.send((0, name, argument))

    def close(self) -> None:
        """Hang up; whoever waits for an answer gets Unanswered."""
        self._channel.close()
        self._give_up()

    def _receive(self, message: tuple[int, Any, Any]) -> None:
        number, first, second = message
        if number < 0:
            future = self._open.get(-number)
            if future is not None and not future.done():
                if second:
                    future.set_exception(Unanswered(second))
                else:
                    future.set_result(first)
            return
        try:
            # At once, so that notices are taken in the order in which they were sent.
            value = self._handlers[first](second)
        except Exception as error:
            self._failed(number, first, error)
            return
        if not inspect.isawaitable(value):
            self._answer(number, first, value)
            return
        task = self._loop.create_task(self._finish(number, first, value))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, number: int, name: str, pending: Awaitable[Any]) -> None:
        try:
            value = await pending
        except Exception as error:
            self._failed(number, name, error)
        else:
            self._answer(number, name, value)

    def _answer(self, number: int, name: str, value: Any) -> None:
        if number:
            try:
                self._channel.send((-number, value, ""))
            except Exception as error:
                self._failed(number, name, error)

    def _failed(self, number: int, name: str, error: Exception) -> None:
        if number:
            self._channel.send((-number, None, f"{name}: {type(error).__name__}: {error}"))
        else:
            self._loop.call_exception_handler(
                {"message": f"the notice {name!r} was not understood", "exception": error}
            )

    def _cut(self) -> None:
        self._give_up()
        self._lost()

    def _give_up(self) -> None:
        for future in self._open.values():
            if not future.done():
                future.set_exception(Unanswered("the process is gone"))
