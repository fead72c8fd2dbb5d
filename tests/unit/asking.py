"""Both ways to ask a handler: waiting for it, and at once as a client's exchange does.

What an outcome means is the same in either way, so tests of that are run in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from proxy.asking import (
    Asked,
    Asker,
    AskNow,
    Given,
    Inside,
    PatientAsker,
    Pending,
    Time,
    ask_through,
    waited,
)
from proxy.contract import Handler, Request, Response
from proxy.errors import GatewayError
from proxy.http1.headers import Headers

Ask = Callable[[Handler, Request], Awaitable[Response]]


async def by_waiting(handler: Handler, request: Request) -> Response:
    """Await the handler."""
    return await handler(request)


async def at_once(handler: Handler, request: Request) -> Response:
    """Ask without waiting where the handler can be asked so."""
    return await Client(handler, request).answer()


class Client:
    """Asks at once. asked: what can be broken off. waited: whether there was anything to await;
    told: whether the answer came before. interims: their statuses."""

    def __init__(self, handler: Handler, request: Request) -> None:
        self.asked: Asked | None = None
        self.waited = False
        self.told: bool | None = None
        self.interims: list[int] = []
        self._future: asyncio.Future[Response | Pending] = asyncio.Future()
        ask_now: AskNow = getattr(handler, "ask_now")  # noqa: B009
        asked = ask_now(request, self)
        if isinstance(asked, Coroutine):
            self.waited = True
            self._future.set_result(asked)
        else:
            self.asked = asked

    async def answer(self) -> Response:
        """What came of it."""
        try:
            outcome = await self._future
        except asyncio.CancelledError:
            if self._future.cancelled():
                self.leave()
            raise
        return outcome if isinstance(outcome, Response) else await outcome

    def interim(self, status: int, headers: Headers) -> None:
        self.interims.append(status)

    def answered(self, response: Response) -> None:
        self._future.set_result(response)

    def failed(self, error: BaseException) -> None:
        self._future.set_exception(error)

    def delayed(self, waiting: Pending, answered: bool) -> None:
        self.waited, self.told = True, answered
        self._future.set_result(waiting)

    def leave(self) -> None:
        """Want no answer any more."""
        assert self.asked is not None
        self.asked.abort("cancelled")


class Prompt:
    """An endpoint that can be asked at once, and answers what `handler` does.

    free: there is a connection. again: whether it may be asked once more when it fails. aborted:
    why it was broken off, each time. interims: statuses of what comes before answers.
    """

    def __init__(self, handler: Handler, free: bool = True, again: bool = False) -> None:
        self.handler = handler
        self.free = free
        self.repeats = again
        self.aborted: list[str] = []
        self.interims: tuple[int, ...] = ()

    async def __call__(self, request: Request) -> Response:
        return await self.handler(request)

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        return _Serving(self, request, asker) if self.free else self(request)

    def ask_again(self, request: Request, error: GatewayError) -> Pending | None:
        return self(request) if self.repeats else None


class _Serving:
    """One request to such an endpoint."""

    def __init__(self, endpoint: Prompt, request: Request, asker: PatientAsker) -> None:
        self._endpoint = endpoint
        self._asker = asker
        self._task = asyncio.get_running_loop().create_task(endpoint(request))
        self._task.add_done_callback(self._tell)

    def abort(self, reason: str, asker: Asker | None = None) -> None:
        assert asker is self._asker, "another exchange may have begun since"
        self._endpoint.aborted.append(reason)
        if not self._task.done():
            self._task.remove_done_callback(self._tell)
            self._task.cancel()
            # As a connection does.
            self._asker.failed(GatewayError("upstream_closed", cause=reason))

    def _tell(self, task: asyncio.Task[Response]) -> None:
        for status in self._endpoint.interims:
            self._asker.interim(status, Headers())
        try:
            response = task.result()
        except (Exception, asyncio.CancelledError) as error:
            self._asker.failed(error)
        else:
            self._asker.answered(response)


class Hearing:
    """Stands around, and writes down what it hears of how many that begun. later: what it gives
    has to be waited for. broken: how it fails itself. rescues: it answers failures with 203.
    seconds: that there are for an answer."""

    def __init__(
        self,
        inside: Handler,
        later: bool = False,
        broken: BaseException | None = None,
        rescues: bool = False,
        seconds: float | None = None,
    ) -> None:
        self.begun = 0
        self.heard: list[str] = []
        self._inside = Inside(inside)
        self._later = later
        self._broken = broken
        self._rescues = rescues
        self._seconds = seconds

    async def __call__(self, request: Request) -> Response:
        self.begun += 1
        return await waited(self, "ticket", request, self._inside.ask(request), self._time)

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        self.begun += 1
        return ask_through(self, "ticket", self._inside, request, asker, self._time)

    @property
    def _time(self) -> Time | None:
        return None if self._seconds is None else Time(self._seconds)

    def answered(self, ticket: str, request: Request, response: Response) -> Given:
        self.heard.append(f"{ticket} {response.status}")
        if self._broken is not None:
            raise self._broken
        return self._wait(response) if self._later else response

    def failed(self, ticket: str, request: Request, error: BaseException) -> Given:
        self.heard.append(f"{ticket} {type(error).__name__}")
        if self._rescues:
            return Response(203)
        raise error

    async def _wait(self, response: Response) -> Response:
        await asyncio.sleep(0)
        self.heard.append("waited")
        return response
