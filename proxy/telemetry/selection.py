"""Which requests have an access line, and which are told in detail.

May live here: the choice, made once as far as it can be: what `make_line` returns does
nothing that the configuration and the levels of the moment don't ask for. Must not live
here: what a line says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from proxy.config.telemetry import Logging, Sampling
from proxy.contract import Log, Request
from proxy.current import enter, leave
from proxy.telemetry.access_log import Line
from proxy.telemetry.levels import Levels
from proxy.telemetry.redaction import (
    REDACTED,
    QueryRedaction,
    is_secret,
    redact_text,
    redact_url,
)
from proxy.telemetry.tracing.sampling import make_sampler

_TALKATIVE: Final = ("debug", "info")
_VALUE_MAX: Final = 512


def make_line(
    options: Logging,
    line: Line,
    levels: Levels,
    log: Log,
    places: Mapping[tuple[str, str], str],
    hide: Callable[[str], str],
) -> Line | None:
    """What writes the lines of requests, None for nothing; make it anew when levels change.

    line: writes one. places: where policies stand in the configuration. hide: replaces the
    configuration's secrets in a text.
    """
    written = line if options.access else None
    sampled = written
    if written is not None and options.sample is not None:
        sampled = _sampled(options.sample, written)
    detail = _Detail(options, log, places, hide).line
    if levels.narrow:
        return _by_level(levels, sampled, written, detail)
    if levels.configured == "debug":
        return detail if written is None else _both(detail, written)
    return sampled if levels.configured == "info" else None


class LineChoice:
    """What writes the lines of one configuration's requests, for as long as one of them lives.

    line: writes one; None for no lines. make: as `make_line`.
    """

    def __init__(self, make: Callable[[], Line | None]) -> None:
        self._make = make
        self.line = make()

    def choose(self) -> None:
        """Other levels hold: requests in flight heed them too."""
        self.line = self._make()


def _sampled(sample: Sampling, line: Line) -> Line:
    by_chance = make_sampler(sample.ratio)
    slow, least = sample.slow, sample.status

    def choose(
        request: Request,
        status: int,
        sent: int,
        received: int,
        ended: float,
        error: str,
        aborted: str,
    ) -> None:
        trace_id = request.trace.trace_id
        timings = request.timings
        if (
            (ended - timings.received >= slow and timings.lasted(status, ended) >= slow)
            or status >= least
            or aborted
            or not trace_id
            or by_chance(trace_id)
        ):
            line(request, status, sent, received, ended, error, aborted)

    return choose


def _by_level(levels: Levels, sampled: Line | None, written: Line | None, detail: Line) -> Line:
    """While an exception holds for some requests, whose lines aren't left to chance."""

    def choose(request: Request, *facts: Any) -> None:
        exempted = levels.exempted_for(request)
        level = exempted or levels.configured
        if level == "debug":
            detail(request, *facts)
        line = sampled if exempted is None else written
        if line is not None and level in _TALKATIVE:
            line(request, *facts)

    return choose


def _both(first: Line, second: Line) -> Line:
    def write(*facts: Any) -> None:
        first(*facts)
        second(*facts)

    return write


class _Detail:
    """Writes what is known of a request besides its access line, at level debug."""

    def __init__(
        self,
        options: Logging,
        log: Log,
        places: Mapping[tuple[str, str], str],
        hide: Callable[[str], str],
    ) -> None:
        self._hidden = set(map(str.lower, options.redact_headers))
        self._redact_query = QueryRedaction(options.redact_query)
        self._log = log
        self._places = places
        self._hide = hide

    def line(
        self,
        request: Request,
        status: int,
        sent: int,
        received: int,
        ended: float,
        error: str,
        aborted: str,
    ) -> None:
        # Its request decides whether it is told, and many end at once.
        before = enter(request)
        try:
            self._tell(request, status)
        finally:
            leave(before)

    def _tell(self, request: Request, status: int) -> None:
        route = request.route.name
        self._log.debug(
            "request in detail",
            request_id=request.id,
            trace_id=request.trace.trace_id,
            route=route,
            status=status,
            fields={
                name: REDACTED if name in self._hidden or is_secret(name) else self._shown(value)
                for name, value in request.headers.items()
            },
            decisions=[
                {
                    "policy": policy,
                    "outcome": outcome,
                    "detail": self._shown(detail),
                    "configured_at": self._places.get((route, policy), "default"),
                }
                for policy, outcome, detail in request.decisions
            ],
        )

    def _shown(self, text: str) -> str:
        # A policy may have set a field to what the configuration keeps in a file.
        hidden = self._hide(text)[:_VALUE_MAX]
        return redact_url(redact_text(hidden), self._redact_query)
