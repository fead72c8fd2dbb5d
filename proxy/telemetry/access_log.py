"""One line for each request, rendered straight to bytes.

May live here: what the line says. Must not live here: anything that is known only after
the line, or work that could have been done once (see ENGINE budget: 2 µs a line).

The fields are documented in config/OBSERVABILITY.md, which a test holds against the lines.

Texts are escaped as JSON, so nothing that a client sends can end or forge a line.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final

import orjson

from proxy.config.telemetry import Logging
from proxy.contract import NO_ROUTE, Decision, Request, Timings
from proxy.memo import Memo
from proxy.telemetry.console import Console, printable
from proxy.telemetry.logs import render_json
from proxy.telemetry.redaction import (
    REDACTED,
    QueryRedaction,
    is_secret,
    redact_text,
    redact_tokens,
    redact_url,
)
from proxy.telemetry.sink import Sink
from proxy.timestamp import make_timestamp

_TARGET_MAX: Final = 2048
_TEXT_MAX: Final = 256
# The fields of a request that was answered by an upstream, in their order.
_TEMPLATE: Final[dict[str, Any]] = {
    "timestamp": "", "level": "info", "event": "request", "request_id": "", "trace_id": "",
    "span_id": "", "client_ip": "", "method": "", "host": "", "path": "", "query": "",
    "protocol": "", "route": "", "upstream": "", "endpoint": "", "status": 0, "bytes_in": 0,
    "bytes_out": 0, "user_agent": "", "decisions": {}, "total_ms": 0.0, "policy_ms": 0.0,
    "connect_ms": 0.0, "upstream_ms": 0.0,
}  # fmt: skip
# What Sidegate answers by itself reaches none of the upstream's stations.
_OWN_TEMPLATE: Final = {
    name: value
    for name, value in _TEMPLATE.items()
    if name not in ("policy_ms", "connect_ms", "upstream_ms")
}
_OUTCOMES_MAX: Final = 1024
_QUERIES_MAX: Final = 1024
_QUERY_KEPT: Final = 128
_AGENTS_MAX: Final = 1024
_MILLISECOND: Final = 0.001
_NOTHING: Final[dict[str, str]] = {}
_dumps: Final = orjson.dumps
_NEWLINE: Final = orjson.OPT_APPEND_NEWLINE
_J: Final = ord("J")
# A float of this size has no room for a fraction: adding it rounds.
_WHOLE: Final = 1.5 * 2**52


_Outcomes = tuple[dict[str, str], dict[str, str]]
"""What decisions came to, and their details if they have any, by policy."""
Line = Callable[[Request, int, int, int, float, str, str], None]
"""Writes the line of a request, given what `AccessLog.line` is."""


class _Sheet:
    """A record that is filled anew for each line, which costs half of building one, and what of
    it needn't be written again. It keeps its shape: a line of another shape is a copy.

    stale: when the timestamp is, in monotonic seconds. details: of the decisions.
    """

    __slots__ = ("agent", "decisions", "details", "host", "record", "route", "stale")

    def __init__(self, template: dict[str, Any]) -> None:
        self.record = template.copy()
        self.stale = -inf
        self.host = ""
        self.agent: bytes | None = b""
        self.route = NO_ROUTE
        self.decisions: list[Decision] = []
        self.details = _NOTHING


class AccessLog:
    """Writes the access lines. console: for people; None for JSON lines.

    wall: seconds since 1970, UTC.
    """

    def __init__(
        self,
        options: Logging,
        sink: Sink,
        wall: Callable[[], float],
        console: Console | None = None,
    ) -> None:
        self._write = sink.write
        self._timestamp = make_timestamp(wall)
        self._console = console
        self._forwarded = _Sheet(_TEMPLATE)
        self._own = _Sheet(_OWN_TEMPLATE)
        self._agents: Memo[bytes | None, str] = Memo(_AGENTS_MAX)
        # Those who are refused are often refused again.
        self._outcomes: Memo[tuple[Decision, ...], _Outcomes] = Memo(_OUTCOMES_MAX)
        # Queries that came before and hide nothing.
        self._harmless: Memo[str, None] = Memo(_QUERIES_MAX)
        self._redact_query = QueryRedaction(options.redact_query)
        hidden = set(map(str.lower, options.redact_headers))
        self._headers = tuple(
            (name, name in hidden or is_secret(name))
            for name in dict.fromkeys(map(str.lower, options.headers))
        )

    def line(
        self,
        request: Request,
        status: int,
        sent: int,
        received: int,
        ended: float,
        error: str = "",
        aborted: str = "",
    ) -> None:
        """Write the line of a request that ended. Never raises for anything a client sent.

        sent, received: bytes to and from the client. ended: monotonic seconds, as in
        `request.timings`.
        """
        timings = request.timings
        began = timings.received
        forwarded = timings.forwarded
        connected = timings.connected
        first_byte = timings.first_byte
        path, _, query = request.target.decode("latin-1").partition("?")
        # What names a user, in a URL within a path, stands before an `@`.
        if (query and query not in self._harmless) or "@" in path or len(path) > _TARGET_MAX:
            path, query = self._shown(path, query)
        host = request.host
        trace = request.trace
        route = request.route
        agent = request.headers.lines.get("user-agent")
        decisions = request.decisions
        sheet = self._forwarded if forwarded else self._own
        record = sheet.record
        # Several requests end in the same millisecond on a busy proxy.
        if ended >= sheet.stale:
            sheet.stale = ended + _MILLISECOND
            record["timestamp"] = self._timestamp()
        record["request_id"] = request.id
        record["trace_id"] = trace.trace_id
        record["span_id"] = trace.span_id
        record["client_ip"] = request.client_ip
        record["method"] = request.method
        record["path"] = path
        record["query"] = query
        record["protocol"] = "HTTP/1.1" if request.version == "1.1" else "HTTP/1.0"
        record["endpoint"] = request.endpoint
        record["status"] = status
        record["bytes_in"] = received
        record["bytes_out"] = sent
        # What is the very same object says the same as before: hosts and fields are remembered
        # by whoever reads heads.
        if host is not sheet.host:
            sheet.host = host
            record["host"] = _shorten(host, _TEXT_MAX)
        if route is not sheet.route:
            sheet.route = route
            record["route"] = route.name
            record["upstream"] = route.upstream
        if agent is not sheet.agent:
            sheet.agent = agent
            shown = self._agents.get(agent)
            record["user_agent"] = self._meet(request) if shown is None else shown
        # Comparing costs a fourth of a look-up, which has to hash all of them.
        if decisions != sheet.decisions:
            sheet.decisions = decisions.copy()
            known = tuple(decisions)
            outcomes = self._outcomes.get(known)
            record["decisions"], sheet.details = (
                self._learn(known) if outcomes is None else outcomes
            )
        details = sheet.details
        # Whole microseconds over 1000 print with three decimals at most, for a sixth of what
        # round() costs.
        record["total_ms"] = ((ended - began) * 1e6 + _WHOLE - _WHOLE) / 1000
        if not forwarded:
            if error or aborted or details:
                record = record.copy()
        elif connected and first_byte and not error and not aborted:
            record["policy_ms"] = ((forwarded - began) * 1e6 + _WHOLE - _WHOLE) / 1000
            record["connect_ms"] = ((connected - forwarded) * 1e6 + _WHOLE - _WHOLE) / 1000
            record["upstream_ms"] = ((first_byte - connected) * 1e6 + _WHOLE - _WHOLE) / 1000
            if details:
                record = record.copy()
        else:
            record = record.copy()
            _cut_short(timings, record)
        if error:
            record["error"] = error
        if aborted:
            record["aborted"] = aborted
        if details:
            record["details"] = details
        if self._headers:
            record = self._with_headers(request, record)
        if self._console is not None:
            line = self._console.access(record)
        else:
            try:
                line = _dumps(record, None, _NEWLINE)
            except TypeError:
                line = render_json(record)
        # Looking for one letter first, which few lines have, costs a tenth.
        self._write(redact_tokens(line) if _J in line and b"eyJ" in line else line)

    def _shown(self, path: str, query: str) -> tuple[str, str]:
        """How parts of a target are shown that may hide something, or are long."""
        if "@" in path:
            path = redact_text(path)
        if not query or query in self._harmless:
            return _shorten(path, _TARGET_MAX), query
        shown = self._redact_query(_shorten(query, _TARGET_MAX))
        if shown == query and len(query) <= _QUERY_KEPT:
            self._harmless[query] = None
        return _shorten(path, _TARGET_MAX), shown

    def _meet(self, request: Request) -> str:
        """How a user agent that wasn't seen for a while is shown."""
        agent = request.headers.raw("user-agent")
        shown = "" if agent is None else redact_text(_text(agent))
        if agent is None or len(agent) <= _TEXT_MAX:
            self._agents[request.headers.lines.get("user-agent")] = shown
        return shown

    def _learn(self, decisions: tuple[Decision, ...]) -> _Outcomes:
        """What is shown of decisions that weren't seen for a while."""
        details: dict[str, str] = {}
        for policy, _, detail in decisions:
            if detail:
                # Some are URLs: where a redirect leads, for one.
                text = self._shown_text(_shorten(detail, _TEXT_MAX))
                # Several decisions of one policy are told in their order.
                details[policy] = f"{details[policy]}; {text}" if policy in details else text
        shown = {policy: outcome for policy, outcome, _ in decisions}, details
        if all(len(detail) <= _TEXT_MAX for _, _, detail in decisions):
            self._outcomes[decisions] = shown
        return shown

    def _with_headers(self, request: Request, record: dict[str, Any]) -> dict[str, Any]:
        """The record with the fields that the user asked for."""
        headers: dict[str, str] = {}
        for name, secret in self._headers:
            value = request.headers.raw(name)
            if value is not None:
                headers[name] = REDACTED if secret else self._shown_text(_text(value))
        return {**record, "headers": headers} if headers else record

    def _shown_text(self, text: str) -> str:
        return printable(redact_url(redact_text(text), self._redact_query))


def _cut_short(timings: Timings, record: dict[str, Any]) -> None:
    """Take out the stations that weren't reached."""
    last = timings.received
    for name, moment in (
        ("policy_ms", timings.forwarded),
        ("connect_ms", timings.connected),
        ("upstream_ms", timings.first_byte),
    ):
        if moment and last:
            record[name] = ((moment - last) * 1e6 + _WHOLE - _WHOLE) / 1000
        else:
            del record[name]
        last = moment


def _text(value: bytes) -> str:
    # JSON leaves controls and line ends beyond ASCII as they are, and terminals and readers
    # of logs obey them.
    return printable(value[:_TEXT_MAX].decode("utf-8", "backslashreplace"))


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
