"""Traces of a configuration: what is sampled, noted, kept and handed to the exporter.

May live here: what happens at each station of a request. An unsampled request that is
neither slow nor failed costs a comparison at its start and at its end, and a note for each
endpoint that is asked; nothing else is touched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from proxy.config.telemetry import Tracing
from proxy.contract import Counter, Handler, Log, Metrics, Request
from proxy.http1.identifiers import HexPool
from proxy.telemetry.redaction import QueryRedaction
from proxy.telemetry.tracing.attempts import Noting
from proxy.telemetry.tracing.export import SpanQueue
from proxy.telemetry.tracing.sampling import make_keeper, make_sampler
from proxy.telemetry.tracing.spans import Ending, SpanWriter

if TYPE_CHECKING:
    from proxy.telemetry.tracing.otlp import OtlpExporter


class Tracer:
    """Records the traces of one configuration.

    queue: where spans go; it may serve one configuration after another. clock: monotonic
    seconds. wall: seconds since 1970. random: n random bytes. redact_query: as for logs.
    places: where policies stand in the configuration, by route and policy.
    """

    def __init__(
        self,
        options: Tracing,
        queue: SpanQueue,
        clock: Callable[[], float],
        wall: Callable[[], float],
        random: Callable[[int], bytes],
        redact_query: tuple[str, ...],
        places: Mapping[tuple[str, str], str],
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._digits = HexPool(random).take
        self._keep = make_keeper(options)
        self._describe = SpanWriter(QueryRedaction(redact_query), places, self._digits).describe
        self._offer = queue.offer
        self.sampled = make_sampler(options.ratio)
        """Whether a trace that starts here is sampled, by its ID."""

    def around(self, ask: Handler, endpoint: str) -> Handler:
        """The handler that asks an endpoint, with each attempt noted."""
        return Noting(ask, endpoint, self._clock, self._digits)

    def finished(
        self,
        request: Request,
        status: int,
        sent: int,
        received: int,
        ended: float,
        error: str,
        aborted: str,
    ) -> bool:
        """An exchange is over, as the gateway's observer is told; whether it is recorded."""
        seconds = request.timings.lasted(status, ended)
        if not self._keep(request, status, seconds, aborted) or not request.trace.trace_id:
            return False
        ending = Ending(status, sent, received, ended, error, aborted, self._wall())
        self._offer(self._describe(request, ending))
        return True


def make_queue(options: Tracing, version: str, log: Log, metrics: Metrics) -> SpanQueue:
    """The queue and the exporter that options ask for. version: of Sidegate."""

    def make() -> OtlpExporter:
        # The exporters' own words, with a stack for each batch, are replaced by two lines.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        # Half a second, in the thread that sends.
        from proxy.telemetry.tracing.otlp import OtlpExporter

        return OtlpExporter(options, version)

    def count(outcome: str) -> Counter:
        text = "Spans of traces, by what became of them."
        return metrics.counter("sidegate_spans_total", text, outcome=outcome)

    return SpanQueue(
        make,
        options.queue,
        log,
        exported=count("exported"),
        failed=count("failed"),
        dropped=count("dropped"),
    )
