"""A request that ended, as the spans of a trace. Pure.

May live here: names and attributes, by OpenTelemetry's semantic conventions for HTTP (1.44,
stable ones), and Sidegate's own under `sidegate.`. Must not live here: the SDK, or how
spans travel (`otlp`, `export`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

from proxy.contract import Request
from proxy.http1.host import read_authority
from proxy.telemetry.redaction import QueryRedaction, redact_text, redact_url
from proxy.telemetry.route_cells import METHODS
from proxy.telemetry.tracing.attempts import CANCELLED, Attempt, attempts_of

Value = str | int | float | bool
Attributes = dict[str, Value]

_TEXT_MAX: Final = 2048
_DETAIL_MAX: Final = 256
_NANO: Final = 1_000_000_000
_SPAN_DIGITS: Final = 16
_CLIENT_ERROR: Final = 400
_SERVER_ERROR: Final = 500
_PORTS: Final = {"http": 80, "https": 443}


class Event(NamedTuple):
    """Something that happened within a span. at: nanoseconds since 1970."""

    name: str
    at: int
    attributes: Attributes


class Span(NamedTuple):
    """One span. began, ended: nanoseconds since 1970. error: what failed, empty for nothing.

    trace_id, span_id, parent_id: hex digits; a parent is empty where the trace begins.
    remote: the parent is in another process. state: the tracestate value.
    """

    name: str
    kind: Literal["server", "client"]
    trace_id: str
    span_id: str
    parent_id: str
    remote: bool
    flags: int
    state: str
    began: int
    ended: int
    error: str
    attributes: Attributes
    events: tuple[Event, ...] = ()


class Ending(NamedTuple):
    """How an exchange ended, as the gateway's observer is told. wall: seconds since 1970."""

    status: int
    sent: int
    received: int
    ended: float
    error: str
    aborted: str
    wall: float


class SpanWriter:
    """Describes requests.

    redact: hides the values of query parameters. places: where a policy stands in the
    configuration, by the names of route and policy. digits: so many random hex digits.
    """

    def __init__(
        self,
        redact: QueryRedaction,
        places: Mapping[tuple[str, str], str],
        digits: Callable[[int], str],
    ) -> None:
        self._redact = redact
        self._places = places
        self._digits = digits

    def describe(self, request: Request, ending: Ending) -> list[Span]:
        """The span of the request, then one for each time that an endpoint was asked."""
        # From the monotonic clock to the epoch, in nanoseconds.
        offset = int((ending.wall - ending.ended) * _NANO)
        spans = [self._server(request, ending, offset)]
        for number, attempt in enumerate(attempts_of(request)):
            spans.append(self._client(request, attempt, number, ending, offset))
        return spans

    def _server(self, request: Request, ending: Ending, offset: int) -> Span:
        trace = request.trace
        status = ending.status
        path, query = self._target(request)
        name, attributes = _method(request)
        attributes |= {"url.path": path, "url.scheme": request.scheme}
        if query:
            attributes["url.query"] = query
        if request.route.name:
            attributes["http.route"] = request.route.pattern
            attributes["sidegate.route"] = request.route.name
        if status:
            attributes["http.response.status_code"] = status
        error = ending.aborted or (ending.error if status >= _SERVER_ERROR else "")
        if status >= _SERVER_ERROR and not error:
            error = str(status)
        if error or ending.error:
            attributes["error.type"] = error or ending.error
        if request.host:
            attributes["server.address"] = request.host
            authority = read_authority(request.authority)
            port = authority[1] if authority else ""
            attributes["server.port"] = int(port) if port else _PORTS.get(request.scheme, 0)
        for key, value in (
            ("client.address", request.client_ip),
            ("network.peer.address", request.peer),
            ("user_agent.original", redact_text(request.headers.get("user-agent", "") or "")),
            ("sidegate.request_id", request.id),
            ("sidegate.upstream", request.route.upstream),
        ):
            if value:
                attributes[key] = _sound(value[:_DETAIL_MAX])
        attributes["network.protocol.version"] = request.version
        return Span(
            f"{name} {request.route.pattern}" if request.route.name else name,
            "server",
            trace.trace_id,
            trace.span_id,
            trace.parent_id,
            True,
            trace.flags,
            trace.state,
            offset + int(request.timings.received * _NANO),
            offset + int(ending.ended * _NANO),
            error,
            attributes,
            self._events(request, offset),
        )

    def _events(self, request: Request, offset: int) -> tuple[Event, ...]:
        timings = request.timings
        # A decision carries no time of its own; those of forwarded requests came before it.
        at = offset + int((timings.forwarded or timings.received) * _NANO)
        events = []
        for policy, outcome, detail in request.decisions:
            attributes: Attributes = {"sidegate.policy": policy, "sidegate.outcome": outcome}
            if detail:
                shown = redact_url(redact_text(detail[:_DETAIL_MAX]), self._redact)
                attributes["sidegate.detail"] = _sound(shown)
            if place := self._places.get((request.route.name, policy)):
                attributes["sidegate.configured_at"] = place
            events.append(Event("sidegate.decision", at, attributes))
        return tuple(events)

    def _client(
        self, request: Request, attempt: Attempt, number: int, ending: Ending, offset: int
    ) -> Span:
        trace = request.trace
        path, query = self._target(request)
        name, attributes = _method(request)
        address, port = _endpoint_address(attempt.endpoint)
        target = f"{path}?{query}" if query else path
        attributes["url.full"] = _sound(redact_text(attempt.endpoint) + target)
        attributes["server.address"] = address
        if port:
            attributes["server.port"] = port
        if attempt.status:
            attributes["http.response.status_code"] = attempt.status
        error = attempt.error or (str(attempt.status) if attempt.status >= _CLIENT_ERROR else "")
        if error == CANCELLED:
            attributes["sidegate.cancelled"] = True
            error = ""
        if error:
            attributes["error.type"] = error
        if number:
            attributes["http.request.resend_count"] = number
        attributes["network.protocol.version"] = "1.1"
        return Span(
            name,
            "client",
            trace.trace_id,
            attempt.span_id or self._digits(_SPAN_DIGITS),
            trace.span_id,
            False,
            trace.flags,
            trace.state,
            offset + int(attempt.began * _NANO),
            # One that goes on for others may have begun since the end.
            offset + int((attempt.ended or max(attempt.began, ending.ended)) * _NANO),
            error,
            attributes,
        )

    def _target(self, request: Request) -> tuple[str, str]:
        path, _, query = request.target.decode("latin-1").partition("?")
        shown = redact_text(self._redact(query[:_TEXT_MAX])) if query else ""
        return redact_text(path[:_TEXT_MAX]), shown


def _method(request: Request) -> tuple[str, Attributes]:
    """The name of a span's method, and its attributes: names must stay few."""
    method = request.method
    if method in METHODS:
        return method, {"http.request.method": method}
    attributes: Attributes = {"http.request.method": "_OTHER"}
    if method:
        attributes["http.request.method_original"] = method[:_DETAIL_MAX]
    return "HTTP", attributes


def _endpoint_address(text: str) -> tuple[str, int]:
    """Address and port of an endpoint; the path of a UNIX socket and 0."""
    scheme, _, rest = text.partition("://")
    if text.startswith("unix:"):
        return text.removeprefix("unix:").removeprefix("//"), 0
    authority = read_authority(rest.rstrip("/"))
    if authority is None:
        return rest, 0
    host, port = authority
    return host, int(port) if port else _PORTS.get(scheme, 0)


def _sound(text: str) -> str:
    """Text that UTF-8 can carry: bytes that weren't it become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
