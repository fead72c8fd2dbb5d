"""What happens when a request ends: its counts and its access line, in one call."""

from __future__ import annotations

from typing import Final

from proxy.cells import Histogram, Row
from proxy.contract import Decision, Request, RouteInfo
from proxy.memo import Memo
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.route_cells import RouteCells
from proxy.telemetry.selection import LineChoice
from proxy.telemetry.tracing.tracer import Tracer

_UNROUTED: Final = "none"
_ROUTES_MAX: Final = 10_000
_REFUSALS_MAX: Final = 1024
_MODES: Final = {"refused": "enforce", "would_refuse": "shadow"}


class Observer:
    """Counts and logs requests that ended. One for each generation of the configuration.

    metrics: lives as long as the process. lines: write the access line of a request. every:
    each request's trace may be an exemplar, not only those that are recorded.
    """

    def __init__(self, metrics: Metrics, lines: LineChoice, *, every: bool = True) -> None:
        self._metrics = metrics
        self._every = every
        self._lines = lines
        self._cells: dict[str, tuple[RouteCells, Histogram]] = {}
        self._refusals: Memo[Decision, Row] = Memo(_REFUSALS_MAX)
        self._errors: Memo[str, Row] = Memo(_REFUSALS_MAX)

    def finished(
        self,
        request: Request,
        status: int,
        sent: int,
        received: int,
        ended: float,
        error: str = "",
        aborted: str = "",
    ) -> None:
        """Count and log one request.

        status: as sent, 0 for none. sent, received: bytes to and from the client. ended:
        monotonic seconds. error: the code that Sidegate answered with. aborted: why the
        exchange broke after its response had begun.
        """
        cells = self._cells.get(request.route.name)
        route, waits = cells if cells is not None else self._learn(request.route)
        timings = request.timings
        forwarded = timings.forwarded
        seconds = overhead = ended - timings.received
        if forwarded and timings.first_byte:
            waited = timings.first_byte - forwarded
            overhead -= waited
            waits.observe(waited)
        if timings.responded:
            # What streams takes the time of those who send and read it.
            overhead -= ended - timings.responded
            seconds = timings.lasted(status, ended)
        trace_id = request.trace.trace_id if self._every else ""
        route.finished(status, request.method, seconds, overhead, sent, received, trace_id)
        for decision in request.decisions:
            if decision[1] in _MODES:
                row = self._refusals.get(decision)
                (self._learn_refusal(decision) if row is None else row)[0] += 1
        if error:
            row = self._errors.get(error)
            (self._learn_error(error) if row is None else row)[0] += 1
        line = self._lines.line
        if line is not None:
            line(request, status, sent, received, ended, error, aborted)

    def mark(self, request: Request, status: int, ended: float) -> None:
        """The trace of a request that was counted is recorded: make it an exemplar."""
        cells, _ = self._cells.get(request.route.name) or self._learn(request.route)
        cells.mark(request.trace.trace_id, request.timings.lasted(status, ended))

    def _learn_refusal(self, decision: Decision) -> Row:
        code, _, cause = decision.detail.partition(":")
        row = self._metrics.refusals(decision.policy, code, _MODES[decision.outcome])
        if not cause:
            self._refusals[decision] = row
        return row

    def _learn_error(self, code: str) -> Row:
        row = self._errors[code] = self._metrics.errors(code)
        return row

    def _learn(self, route: RouteInfo) -> tuple[RouteCells, Histogram]:
        # Routes come from the configuration; an upstream without a name observes nothing
        # that is exported.
        waits = self._metrics.upstream(route.upstream) if route.upstream else Histogram()
        cells = (self._metrics.route(route.name or _UNROUTED), waits)
        if len(self._cells) < _ROUTES_MAX:
            self._cells[route.name] = cells
        return cells


class TracingObserver:
    """Counts, logs, and records the trace where the tracer keeps it.

    observer: made with `every=False`.
    """

    def __init__(self, observer: Observer, tracer: Tracer) -> None:
        self._observer = observer
        self._finished = observer.finished
        self._trace = tracer.finished

    def finished(
        self,
        request: Request,
        status: int,
        sent: int,
        received: int,
        ended: float,
        error: str = "",
        aborted: str = "",
    ) -> None:
        """As `Observer.finished`."""
        self._finished(request, status, sent, received, ended, error, aborted)
        if self._trace(request, status, sent, received, ended, error, aborted):
            self._observer.mark(request, status, ended)
