"""Telemetry of one configuration after another: what each has its gateway tell, and to whom.

May live here: what is made anew with a configuration (access log, sampling), and what stays
while its settings do (the queue of spans). Must not live here: what is counted or written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final
from weakref import WeakSet

from proxy.config.telemetry import Telemetry, Tracing
from proxy.contract import Log
from proxy.telemetry.access_log import AccessLog
from proxy.telemetry.levels import Levels
from proxy.telemetry.logs import make_console
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.observer import Observer, TracingObserver
from proxy.telemetry.selection import LineChoice, make_line
from proxy.telemetry.sink import Sink
from proxy.telemetry.tracing.export import SpanQueue
from proxy.telemetry.tracing.tracer import Tracer, make_queue

_CLOSE_SECONDS: Final = 2.0


class Observation:
    """Makes observers. version: of Sidegate. levels: of the process's lines. clock: monotonic
    seconds. wall: seconds since 1970, UTC. random: n random bytes.
    """

    def __init__(
        self,
        version: str,
        sink: Sink,
        metrics: Metrics,
        levels: Levels,
        clock: Callable[[], float],
        wall: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._version = version
        self._sink = sink
        self._metrics = metrics
        self._levels = levels
        self._clock = clock
        self._wall = wall
        self._random = random
        self._queues: dict[str, SpanQueue] = {}
        self._lines: WeakSet[LineChoice] = WeakSet()
        levels.on_change(self._choose_lines)

    def begin(
        self,
        options: Telemetry,
        places: Mapping[tuple[str, str], str],
        log: Log,
        hide: Callable[[str], str],
    ) -> tuple[Observer | TracingObserver, Tracer | None]:
        """What a configuration's gateway tells of its requests, and its tracer if it has one.

        places: where policies stand in the configuration, by the names of route and policy.
        hide: replaces its secrets in a text.
        """
        console = make_console(options.log.format, self._sink, options.log.file)
        access_log = AccessLog(options.log, self._sink, self._wall, console)
        lines = LineChoice(
            partial(make_line, options.log, access_log.line, self._levels, log, places, hide)
        )
        observer = Observer(self._metrics, lines, every=options.tracing is None)
        self._lines.add(lines)
        if options.tracing is None:
            return observer, None
        tracer = Tracer(
            options.tracing,
            self._queue(options.tracing, log),
            self._clock,
            self._wall,
            self._random,
            options.log.redact_query,
            places,
        )
        return TracingObserver(observer, tracer), tracer

    def keep_only(self, options: Telemetry) -> None:
        """Close the queues that a configuration in use doesn't ask for. May block for 2 s."""
        used = "" if options.tracing is None else _identity(options.tracing)
        for identity in [identity for identity in self._queues if identity != used]:
            self._queues.pop(identity).close(_CLOSE_SECONDS)

    def close(self) -> None:
        """Send what waits, for 2 s at most. Blocks."""
        self.keep_only(Telemetry())

    def _choose_lines(self) -> None:
        """Other levels hold: requests of older configurations heed them too."""
        for lines in list(self._lines):
            lines.choose()

    def _queue(self, options: Tracing, log: Log) -> SpanQueue:
        identity = _identity(options)
        queue = self._queues.get(identity)
        if queue is None:
            queue = make_queue(options, self._version, log, self._metrics)
            self._queues[identity] = queue
        return queue


def _identity(options: Tracing) -> str:
    """Options that differ in nothing else than what is sampled share a queue."""
    return options.model_dump_json(exclude={"ratio", "errors", "slow"})
