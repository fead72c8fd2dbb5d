"""Facts that are noted about a request on its way: decisions, times, its route and its trace.

Policies import these from `proxy.contract`. Values only; what they mean for an answer is
others' to say.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

AHEAD: Final = "ahead"
"""In `Request.state`: nobody waits for the answer, which is only to be stored."""

# Switching Protocols (RFC 9110, 15.2.2).
_TUNNEL: Final = 101


class Decision(NamedTuple):
    """What a policy decided about a request; log, metrics and traces read it.

    outcome: `admitted`, `refused`, `changed` or `answered`; in shadow mode `would_refuse`,
    `would_change`, `would_answer`, or `would_fail` with the exception's class.
    """

    policy: str
    outcome: str
    detail: str = ""


class TraceContext(NamedTuple):
    """W3C trace context of this exchange.

    trace_id: 32 hex digits. span_id: 16 hex digits, this hop's own. parent_id: the caller's
    span, empty when the trace starts here. flags: 0 to 255 (1 sampled, 2 random). state:
    the tracestate value to hand on, possibly empty.
    """

    trace_id: str
    span_id: str
    parent_id: str
    flags: int
    state: str


class RouteInfo(NamedTuple):
    """The route that a request took: its name, its upstream's (empty if none), its pattern."""

    name: str
    upstream: str
    pattern: str


class Timings:
    """Monotonic seconds at which an exchange passed its stations; 0.0 for not reached.

    received: the request's head was complete. forwarded: the policies let it through.
    connected: a connection to the upstream was ready. first_byte: the response's head came.
    responded: the head left, of a response that did not leave as a whole, or opened a tunnel.
    attempts: what is noted of each time that an endpoint was asked, where that is; None before.
    """

    __slots__ = ("attempts", "connected", "first_byte", "forwarded", "received", "responded")

    def __init__(self, received: float) -> None:
        self.received = received
        self.forwarded = 0.0
        self.connected = 0.0
        self.first_byte = 0.0
        self.responded = 0.0
        self.attempts: list[Any] | None = None

    def lasted(self, status: int, ended: float) -> float:
        """Seconds that an exchange took; where it opened a tunnel, until that was open."""
        return (self.responded if status == _TUNNEL and self.responded else ended) - self.received
