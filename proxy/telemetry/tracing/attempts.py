"""What is noted of each time that an endpoint is asked, for a span of its own.

May live here: the note, and the handler around the one that asks. Must not live here: what
becomes of notes (`spans`). They are kept on the request for as long as it lasts, since
only its end tells whether its trace is kept.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.contract import Handler, Request, Response
from proxy.errors import GatewayError

SAMPLED = 1
"""The bit of a trace's flags (Trace Context, 3.2.2.5)."""

_NOTES = "attempts"


class Attempt:
    """One request to an endpoint. began, ended: monotonic seconds; span_id: 16 hex digits,
    empty unless the trace is sampled. status: of the response, 0 for none. error: the code,
    or the class of the exception, that came instead.
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
    """A handler that asks, and notes what came of it.

    In a sampled trace the upstream gets the attempt for its parent. endpoint: as
    `request.endpoint` names it, which tells as well where it is empty. digits: random
    hexadecimal digits.
    """

    async def handle(request: Request) -> Response:
        attempt = Attempt(endpoint, clock())
        request.state.setdefault(_NOTES, []).append(attempt)
        trace = request.trace
        if trace.flags & SAMPLED:
            attempt.span_id = digits(16)
            _name_parent(request, attempt.span_id)
        try:
            response = await ask(request)
        except BaseException as error:
            attempt.error = error.code if isinstance(error, GatewayError) else type(error).__name__
            attempt.ended = clock()
            raise
        finally:
            attempt.endpoint = endpoint or request.endpoint
        attempt.status = response.status
        attempt.ended = request.timings.first_byte
        return response

    return handle


def _name_parent(request: Request, span_id: str) -> None:
    headers, trace = request.headers, request.trace
    value = f"00-{trace.trace_id}-{span_id}-{trace.flags:02x}"
    headers.set_raw(b"traceparent", value.encode("ascii"))
    if "b3" in headers:
        headers.set("b3", f"{trace.trace_id}-{span_id}-1")
    elif "x-b3-spanid" in headers:
        headers.set("X-B3-SpanId", span_id)
        headers.set("X-B3-ParentSpanId", trace.span_id)
