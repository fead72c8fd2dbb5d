"""The seam between whoever asks an upstream and the connection that is asked.

A request waits for nothing but its answer most of the time, and needs no task then: it is
asked at once, and whoever asked is told. Where anything else has to be waited for, there is a
coroutine to await instead. What stands around a handler (a breaker, a retry) says once what
an outcome means to it, and is told of it in either form.

May live here: who is told what, and both forms. Must not live here: how an upstream is asked
(`connection`, `forward`), what becomes of the answer, or coroutines (`awaiting`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from inspect import iscoroutinefunction
from typing import Any, Final, Generic, Protocol, TypeVar

from proxy.awaiting import idly
from proxy.awaiting import ready as ready
from proxy.awaiting import waited as waited
from proxy.contract import Exchange, Handler, Request, Response
from proxy.current import enter
from proxy.errors import GatewayError
from proxy.http1.headers import Headers

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

Given = Response | Awaitable[Response]
"""A response, or something to wait for it."""
Pending = Coroutine[Any, Any, Response]
"""What a request that has begun is waited for by; it has to be awaited."""

FAILURES: Final = (Exception, asyncio.CancelledError)
"""What a step that can't be cancelled fails with: the last, too, when it asked what was cancelled
for its result."""


class Asker(Protocol):
    """Who asked, and is told what comes of it: interim responses, then one of the others."""

    def interim(self, status: int, headers: Headers) -> None:
        """An interim response (1xx) came."""
        ...

    def answered(self, response: Response) -> None:
        """The head of the response is here, with its body or the beginning of one."""
        ...

    def failed(self, error: GatewayError) -> None:
        """There will be no response."""
        ...


class PatientAsker(Protocol):
    """An asker that can also wait."""

    def interim(self, status: int, headers: Headers) -> None:
        """As of an `Asker`; so is `answered`."""
        ...

    def answered(self, response: Response) -> None:
        """The response is here."""
        ...

    def failed(self, error: BaseException) -> None:
        """There will be no response."""
        ...

    def delayed(self, waiting: Pending, answered: bool) -> None:
        """The response has to be waited for after all. answered: one came, of which it is made."""
        ...


class Asked(Protocol):
    """An exchange with an upstream that goes on."""

    def abort(self, reason: str, asker: Asker | None = None) -> None:
        """Break it off, if it is still this asker's; `reason` labels a metric."""
        ...


AskNow = Callable[[Request, PatientAsker], Asked | Pending]
"""Asks at once if that needs no waiting; else gives what to wait for. Raises when it fails."""
AskAgain = Callable[[Request, GatewayError], Pending | None]
"""Asks once more when asking at once failed; None when the failure stands."""


class Inside:
    """A handler that something stands around, and how it is asked without waiting.

    ask: the handler, which does nothing before it is awaited. ask_now, ask_again: its own
    functions, as `AskNow` and `AskAgain`; None without.
    """

    __slots__ = ("ask", "ask_again", "ask_now")

    def __init__(self, ask: Handler) -> None:
        idle = iscoroutinefunction(ask) or iscoroutinefunction(type(ask).__call__)
        self.ask = ask if idle else idly(ask)
        self.ask_now: AskNow | None = getattr(ask, "ask_now", None)
        self.ask_again: AskAgain | None = getattr(ask, "ask_again", None)

    def again(self, request: Request, error: BaseException) -> Pending | None:
        """As `AskAgain`, of any failure."""
        if self.ask_again is None or not isinstance(error, GatewayError):
            return None
        return self.ask_again(request, error)


class Around(Protocol[T_contra]):
    """What stands around a handler: hears of each request once what came of it inside.

    ticket: what it wants to know of the request by then.
    """

    def answered(self, ticket: T_contra, request: Request, response: Response) -> Given:
        """The response from inside came; what goes on outwards."""
        ...

    def failed(self, ticket: T_contra, request: Request, error: BaseException) -> Given:
        """None will come, or nobody wants it any more (CancelledError): a response instead, or
        raise it on."""
        ...


class Time:
    """How long an answer may take, waited for or told of; then it fails with TimeoutError, and
    whatever goes on inside is broken off. It begins at once. seconds: until it is over. over:
    it was, before anything had to be waited for. when: that is, in the loop's seconds. timeout:
    of what is waited for.
    """

    __slots__ = ("_loop", "over", "timeout", "when")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.when = self._loop.time() + seconds
        self.timeout: asyncio.Timeout | None = None
        self.over = False

    def expired(self) -> bool:
        """It is over, and nobody waits any more."""
        return self.over if self.timeout is None else self.timeout.expired()

    def call(self, expire: Callable[[], None]) -> asyncio.TimerHandle:
        """Have this called when it is over."""
        return self._loop.call_at(self.when, expire)


def pending(asked: Asked | Pending) -> Pending:
    """What was asked for by nobody who could be told."""
    if not isinstance(asked, Coroutine):
        raise TypeError("it was asked for somebody")
    return asked


def ask_through(
    around: Around[T],
    ticket: T,
    inside: Inside,
    request: Request,
    asker: PatientAsker | None,
    time: Time | None = None,
) -> Asked | Pending:
    """Ask what is inside, as `AskNow`, on behalf of an asker outside; without one, what to wait
    for. time: as long as it may take."""
    if asker is None or inside.ask_now is None:
        return waited(around, ticket, request, inside.ask(request), time)
    attempt = _Attempt(around, ticket, inside, request, asker, time)
    try:
        asked = inside.ask_now(request, attempt)
    except FAILURES as error:
        again = inside.again(request, error)
        if again is None:
            return ready(around.failed(ticket, request, error))
        asked = again
    if isinstance(asked, Coroutine):
        return waited(around, ticket, request, asked, time)
    attempt.asked = asked
    if time is not None:
        attempt.timer = time.call(attempt.expire)
    return attempt


class Asking:
    """A handler that asks `forward` by `ask`, which is given it, and who is to be told.

    Without anybody to be told `ask` gives what to wait for.
    """

    def __init__(
        self,
        ask: Callable[[Request, Inside, PatientAsker | None], Asked | Pending],
        forward: Handler,
    ) -> None:
        self._ask = ask
        self._inside = Inside(forward)

    def __call__(self, request: Request) -> Pending:
        """Ask, and wait."""
        return pending(self._ask(request, self._inside, None))

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        """Ask at once where that can be."""
        return self._ask(request, self._inside, asker)


class _Attempt(Generic[T]):
    """A request that was asked at once: what is around hears of the outcome, then the asker.

    asked: what goes on inside, or has; None when there is nothing to be broken off. timer: for
    the end of its time.
    """

    __slots__ = (
        "_around", "_asker", "_inside", "_over", "_request", "_ticket", "_time", "asked", "interim",
        "timer",
    )  # fmt: skip

    def __init__(
        self,
        around: Around[T],
        ticket: T,
        inside: Inside,
        request: Request,
        asker: PatientAsker,
        time: Time | None,
    ) -> None:
        self._around = around
        self._ticket = ticket
        self._inside = inside
        self._request = request
        self._asker = asker
        self._time = time
        self._over = False
        self.asked: Asked | None = None
        self.interim = asker.interim
        self.timer: asyncio.TimerHandle | None = None

    def answered(self, response: Response) -> None:
        """Give outwards what is made of the response."""
        self._enter()
        self._end()
        if isinstance(response.body, bytes) and response.tunnel is None:
            self.asked = None
        try:
            given = self._around.answered(self._ticket, self._request, response)
        except FAILURES as error:
            self._asker.failed(error)
            return
        if isinstance(given, Response):
            self._asker.answered(given)
        else:
            self._asker.delayed(ready(given), True)

    def failed(self, error: BaseException) -> None:
        """Ask once more if that may help; else give outwards what is made of the failure."""
        if self._over:
            # Broken off from outside.
            return
        self._enter()
        self._end()
        again = self._inside.again(self._request, error)
        if again is not None:
            self._wait(again, False)
        else:
            self._fail(error)

    def expire(self) -> None:
        """It took too long."""
        asked, self.asked = self.asked, None
        self._end()
        if self._time is not None:
            self._time.over = True
        if asked is not None:
            asked.abort("cancelled", self)
        self._fail(TimeoutError())

    def _fail(self, error: BaseException) -> None:
        try:
            given = self._around.failed(self._ticket, self._request, error)
        except FAILURES as another:
            self._asker.failed(another)
        else:
            self._asker.delayed(ready(given), False)

    def delayed(self, waiting: Pending, answered: bool) -> None:
        """So it has to be outside."""
        self._end()
        self._wait(waiting, answered)

    def abort(self, reason: str, asker: Asker | None = None) -> None:
        """Nobody wants the answer any more, or the rest of it."""
        asked, self.asked = self.asked, None
        over = self._over
        self._end()
        if asked is not None:
            asked.abort(reason, self)
        if not over:
            with contextlib.suppress(*FAILURES):
                self._around.failed(self._ticket, self._request, asyncio.CancelledError())

    def _enter(self) -> None:
        """A connection tells of one request after another; those further out come from here."""
        if not isinstance(self.asked, _Attempt):
            enter(self._request)

    def _end(self) -> None:
        """From here on nothing that goes on inside is told of."""
        self._over = True
        if self.timer is not None:
            # With it goes the circle of the two.
            self.timer.cancel()
            self.timer = None

    def _wait(self, waiting: Pending, answered: bool) -> None:
        out = waited(self._around, self._ticket, self._request, waiting, self._time)
        self._asker.delayed(out, answered)


class Awaited:
    """An asker for a coroutine, which awaits `future`. exchange: hears interim responses."""

    __slots__ = ("future", "interim")

    def __init__(self, loop: asyncio.AbstractEventLoop, exchange: Exchange) -> None:
        self.future: asyncio.Future[Response] = loop.create_future()
        self.interim = exchange.interim

    def answered(self, response: Response) -> None:
        """Give the response to who waits, if anybody still does."""
        if not self.future.done():
            self.future.set_result(response)

    def failed(self, error: Exception) -> None:
        """Raise the error where somebody waits."""
        if not self.future.done():
            self.future.set_exception(error)
