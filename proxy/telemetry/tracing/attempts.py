"""What is noted of each time that an endpoint is asked, for a span of its own.

May live here: the note, and the handler around the one that asks. Must not live here: what
becomes of notes (`spans`). They are kept with the times of the request for as long as it
lasts, since only its end tells whether its trace is kept: tries of a copy are the request's
as well, unless the copy has times of its own.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable

from proxy.asking import Asked, Inside, PatientAsker, Pending, ask_through, waited
from proxy.contract import LATE, Handler, Request, Response
from proxy.errors import GatewayError

SAMPLED = 1
"""The bit of a trace's flags (Trace Context, 3.2.2.5)."""
CANCELLED = "cancelled"
"""In place of an error: nobody wanted the answer any more. Another came first, or the client
left."""


class Attempt:
    """One request to an endpoint. began, ended: monotonic seconds; span_id: 16 hex digits,
    empty unless the trace is sampled. status: of the response, 0 for none. error: the code,
    or the class of the exception, that came instead; or `CANCELLED`.
    """

    __slots__ = ("began", "ended", "endpoint", "error", "span_id", "status")

    def __init__(self, endpoint: str, began: float) -> None:
        self.endpoint = endpoint
        self.began = began
        self.ended = 0.0
        self.span_id = ""
        self.status = 0
        self.error = ""


def attempts_of(request: Request) -> list[Attempt]:
    """The attempts of a request so far, in their order."""
    return request.timings.attempts or []


class Noting:
    """A handler that asks, at once where `ask` can, and notes what came of it.

    In a sampled trace the upstream gets the attempt for its parent. endpoint: as
    `request.endpoint` names it, which tells as well where it is empty. digits: random
    hexadecimal digits.
    """

    def __init__(
        self,
        ask: Handler,
        endpoint: str,
        clock: Callable[[], float],
        digits: Callable[[int], str],
    ) -> None:
        self._inside = Inside(ask)
        self._endpoint = endpoint
        self._clock = clock
        self._digits = digits

    async def __call__(self, request: Request) -> Response:
        """Ask, and note it."""
        return await waited(self, self._begin(request), request, self._inside.ask(request))

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        """Ask at once where that can be, and note what comes."""
        return ask_through(self, self._begin(request), self._inside, request, asker)

    def answered(self, ticket: Attempt, request: Request, response: Response) -> Response:
        """The answer came."""
        ticket.endpoint = self._endpoint or request.endpoint
        ticket.status = response.status
        ticket.ended = self._clock()
        return response

    def failed(self, ticket: Attempt, request: Request, error: BaseException) -> Response:
        """None will come, or whoever asked wants none any more."""
        ticket.endpoint = self._endpoint or request.endpoint
        ticket.ended = self._clock()
        if isinstance(error, GatewayError):
            ticket.error = error.code
        elif not isinstance(error, CancelledError):
            ticket.error = type(error).__name__
        else:
            late: Callable[[], bool] | None = request.state.get(LATE)
            ticket.error = CANCELLED if late is None or not late() else "deadline_exceeded"
        raise error

    def _begin(self, request: Request) -> Attempt:
        attempt = Attempt(self._endpoint, self._clock())
        timings = request.timings
        if timings.attempts is None:
            timings.attempts = []
        timings.attempts.append(attempt)
        if request.trace.flags & SAMPLED:
            attempt.span_id = self._digits(16)
            _name_parent(request, attempt.span_id)
        return attempt


def _name_parent(request: Request, span_id: str) -> None:
    headers, trace = request.headers, request.trace
    value = f"00-{trace.trace_id}-{span_id}-{trace.flags:02x}"
    headers.set_raw(b"traceparent", value.encode("ascii"))
    if "b3" in headers:
        headers.set("b3", f"{trace.trace_id}-{span_id}-1")
    elif "x-b3-spanid" in headers:
        headers.set("X-B3-SpanId", span_id)
        headers.set("X-B3-ParentSpanId", trace.span_id)
