"""What is noted of each time that an endpoint is asked, for a span of its own.

May live here: the note, and the handler around the one that asks. Must not live here: what
becomes of notes (`spans`). They are kept on the request for as long as it lasts, since
only its end tells whether its trace is kept.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable

from proxy.asking import Asked, Asker, Prompt
from proxy.contract import Handler, Request, Response
from proxy.errors import GatewayError

SAMPLED = 1
"""The bit of a trace's flags (Trace Context, 3.2.2.5)."""
CANCELLED = "cancelled"
"""In place of an error: nobody wanted the answer any more. Another came first, or the client
left."""

_NOTES = "attempts"


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
    notes: list[Attempt] = request.state.get(_NOTES, [])
    return notes


def note_attempts(
    ask: Handler, endpoint: str, clock: Callable[[], float], digits: Callable[[int], str]
) -> Handler:
    """A handler that asks, and notes what came of it; at once, where `ask` can.

    In a sampled trace the upstream gets the attempt for its parent. endpoint: as
    `request.endpoint` names it, which tells as well where it is empty. digits: random
    hexadecimal digits.
    """
    if isinstance(ask, Prompt):
        return NotingAtOnce(ask, endpoint, clock, digits)
    return Noting(ask, endpoint, clock, digits)


class Noting:
    """Asks and notes. An instance is a handler."""

    def __init__(
        self,
        ask: Handler,
        endpoint: str,
        clock: Callable[[], float],
        digits: Callable[[int], str],
    ) -> None:
        self._ask = ask
        self._endpoint = endpoint
        self._clock = clock
        self._digits = digits

    async def __call__(self, request: Request) -> Response:
        """Ask, and note it."""
        attempt = self._begin(request)
        try:
            response = await self._ask(request)
        except BaseException as error:
            self._failed(attempt, error)
            raise
        finally:
            attempt.endpoint = self._endpoint or request.endpoint
        attempt.status = response.status
        attempt.ended = request.timings.first_byte
        return response

    def _begin(self, request: Request) -> Attempt:
        attempt = Attempt(self._endpoint, self._clock())
        request.state.setdefault(_NOTES, []).append(attempt)
        if request.trace.flags & SAMPLED:
            attempt.span_id = self._digits(16)
            _name_parent(request, attempt.span_id)
        return attempt

    def _failed(self, attempt: Attempt, error: BaseException) -> None:
        if isinstance(error, GatewayError):
            attempt.error = error.code
        elif isinstance(error, CancelledError):
            attempt.error = CANCELLED
        else:
            attempt.error = type(error).__name__
        attempt.ended = self._clock()


class NotingAtOnce(Noting):
    """Asks without waiting as well, where that can be done."""

    def __init__(
        self, ask: Prompt, endpoint: str, clock: Callable[[], float], digits: Callable[[int], str]
    ) -> None:
        super().__init__(ask, endpoint, clock, digits)
        self._prompt = ask
        self.ask_again = ask.ask_again

    def ask_now(self, request: Request, asker: Asker) -> Asked | None:
        """Ask at once, and note what comes; None, with nothing done, where it can't be."""
        attempt = self._begin(request)
        attempt.endpoint = self._endpoint or request.endpoint
        heard = _Heard(request, attempt, asker, self._failed)
        try:
            heard.asked = self._prompt.ask_now(request, heard)
        except Exception as error:
            self._failed(attempt, error)
            raise
        if heard.asked is None:
            attempts_of(request).remove(attempt)
            return None
        return heard


class _Heard:
    """Stands between who asks and what is asked, and notes what is said."""

    __slots__ = ("_asker", "_attempt", "_failed", "_request", "asked", "interim")

    def __init__(
        self,
        request: Request,
        attempt: Attempt,
        asker: Asker,
        failed: Callable[[Attempt, BaseException], None],
    ) -> None:
        self._request = request
        self._attempt = attempt
        self._asker = asker
        self._failed = failed
        self.interim = asker.interim
        self.asked: Asked | None = None

    def answered(self, response: Response) -> None:
        """The answer came."""
        self._asker.answered(response)
        self._attempt.status = response.status
        self._attempt.ended = self._request.timings.first_byte

    def failed(self, error: GatewayError) -> None:
        """None will come."""
        self._failed(self._attempt, error)
        self._asker.failed(error)

    def abort(self, reason: str, asker: Asker | None = None) -> None:
        """Whoever asked wants no answer any more."""
        if self.asked is not None:
            if not self._attempt.ended:
                self._failed(self._attempt, CancelledError())
            self.asked.abort(reason, self)


def _name_parent(request: Request, span_id: str) -> None:
    headers, trace = request.headers, request.trace
    value = f"00-{trace.trace_id}-{span_id}-{trace.flags:02x}"
    headers.set_raw(b"traceparent", value.encode("ascii"))
    if "b3" in headers:
        headers.set("b3", f"{trace.trace_id}-{span_id}-1")
    elif "x-b3-spanid" in headers:
        headers.set("X-B3-SpanId", span_id)
        headers.set("X-B3-ParentSpanId", trace.span_id)
