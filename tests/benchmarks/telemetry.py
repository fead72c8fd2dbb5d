"""What telemetry costs each request: CPU time in this process, with and without.

May live here: loops over the parts of the data plane that count, log and trace. The figures
are of one interpreter without a network, so they are steadier than those of whole proxies;
in place, calls cost up to half more.
"""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from mmap import mmap
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from proxy.config.telemetry import Logging, Sampling, Tracing
from proxy.contract import Request, Response, RouteInfo, TraceContext
from proxy.http1.headers import Headers
from proxy.policies.trace_context.options import Options
from proxy.policies.trace_context.policy import Trace
from proxy.telemetry.access_log import AccessLog, Line
from proxy.telemetry.ledger import SHARED_SIZE, SharedLedger
from proxy.telemetry.levels import Levels
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.observer import Observer
from proxy.telemetry.selection import LineChoice, make_line
from proxy.telemetry.sink import Sink
from proxy.telemetry.tracing.export import SpanQueue
from proxy.telemetry.tracing.otlp import OtlpExporter
from proxy.telemetry.tracing.spans import Span
from proxy.telemetry.tracing.tracer import Tracer
from tests.benchmarks.cost import Cost, cpu_microseconds
from tests.unit.policies.world import Count, Journal, World

REQUESTS: Final = 5_000
ROUNDS: Final = 5

_ENDPOINT: Final = "http://127.0.0.1:3000"


def costs(requests: int = REQUESTS, rounds: int = ROUNDS) -> list[Cost]:
    """Each part by itself: the best of the rounds, less what the loop costs without it."""
    sink = Sink(io.BytesIO())
    try:
        plain = _ends(None, requests, rounds)
        counts = Metrics("0", sink, time.time)
        shared = SharedLedger(mmap(-1, SHARED_SIZE), writer=True)
        in_shared = Metrics("0", sink, time.time, ledger=shared)
        silent = LineChoice(lambda: None)
        counted = _ends(Observer(counts, silent).finished, requests, rounds)
        rows = [
            Cost("metrics", counted - plain),
            Cost(
                "metrics, with several workers",
                _ends(Observer(in_shared, silent).finished, requests, rounds) - plain,
            ),
        ]
        for name, sample in (("access line", None), ("access line, 1 % of them", Sampling())):
            line = Observer(counts, LineChoice(partial(_line, sink, sample))).finished
            rows.append(Cost(name, _ends(line, requests, rounds) - counted))
        untraced = _exchanges(None, requests, rounds)
        for name, ratio in (("traces, not sampled", 0.0), ("traces, sampled", 1.0)):
            rows.append(Cost(name, _exchanges(ratio, requests, rounds) - untraced))
        return rows
    finally:
        sink.close()


def _line(sink: Sink, sample: Sampling | None) -> Line:
    options = Logging(sample=sample)
    write = AccessLog(options, sink, time.time).line
    line = make_line(options, write, Levels(time.monotonic), Journal(), {}, str)
    assert line is not None
    return line


def _tracer(ratio: float) -> tuple[Tracer, SpanQueue]:
    options = Tracing(endpoint="http://127.0.0.1:9", ratio=ratio)
    exporter = _Encoder(options)
    count = Count()
    queue = SpanQueue(
        lambda: exporter, 1_000_000, Journal(), exported=count, failed=count, dropped=count
    )
    tracer = Tracer(options, queue, time.monotonic, time.time, os.urandom, (), {})
    return tracer, queue


class _Encoder:
    """Does all that an exporter does but sending."""

    def __init__(self, options: Tracing) -> None:
        self._exporter = OtlpExporter(options, "0")

    def send(self, spans: Sequence[Span]) -> bool:
        made = [self._exporter.convert(span) for span in spans]
        return bool(encode_spans(made).SerializeToString())

    def close(self) -> None:
        return None


def _request() -> Request:
    fields = [(b"User-Agent", b"wrk"), (b"Accept", b"*/*"), (b"X-Tenant", b"blue")]
    request = Request(
        "GET", b"/api/items/42", "/api/items/42", "", Headers(fields),
        host="api.example.com", authority="api.example.com", client_ip="203.0.113.9",
        received=time.monotonic(),
    )  # fmt: skip
    request.id = "0198f7a1-2b3c-7d4e-8f00-112233445566"
    request.trace = TraceContext("f" * 32, "f" * 16, "", 2, "")
    request.route = RouteInfo("catalogue", "app", "/api/**")
    request.endpoint = _ENDPOINT
    timings = request.timings
    timings.forwarded = timings.connected = timings.first_byte = timings.received
    return request


def _ends(finished: Callable[..., Any] | None, requests: int, rounds: int) -> float:
    """Microseconds of CPU for the end of a request."""
    given = [_request() for _ in range(requests)]

    def work() -> None:
        for request in given:
            ended = request.timings.received + 0.002
            if finished is not None:
                finished(request, 200, 512, 128, ended, "", "")

    return min(cpu_microseconds(work) for _ in range(rounds)) / requests


def _exchanges(ratio: float | None, requests: int, rounds: int) -> float:
    """Microseconds of CPU for the stations of a request that traces take part in, and for the
    thread that encodes spans. ratio: of traces that are sampled; None for no tracing."""
    return min(_exchange_round(ratio, requests) for _ in range(rounds)) / requests


def _exchange_round(ratio: float | None, requests: int) -> float:
    tracer, queue = (None, None) if ratio is None else _tracer(ratio)
    toolkit = replace(
        World().toolkit,
        random=os.urandom,
        sampled=None if tracer is None else tracer.sampled,
    )
    trace = Trace(Options(), toolkit).edit_request
    response = Response(200)

    async def answer(request: Request) -> Response:
        return response

    ask = answer if tracer is None else tracer.around(answer, _ENDPOINT)
    given = [_request() for _ in range(requests)]

    async def exchange() -> None:
        for request in given:
            trace(request)
            await ask(request)
            if tracer is not None:
                ended = request.timings.received + 0.002
                tracer.finished(request, 200, 512, 128, ended, "", "")

    def work() -> None:
        asyncio.run(exchange())
        if queue is not None:
            queue.close(60.0)

    return cpu_microseconds(work)
