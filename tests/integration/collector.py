"""A collector of traces: OTLP over HTTP or gRPC, decoded by OpenTelemetry's own protobuf."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import grpc.aio
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from tests.integration.client import until

_KINDS: Final = {2: "server", 3: "client"}


@dataclass(frozen=True)
class Received:
    """A span as it arrived. failed: its status is Error. events: attributes of each."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    failed: bool
    seconds: float
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    resource: dict[str, Any]


class Collector:
    """Keeps what it is sent. port: where it listens. delay: seconds before it answers.
    refusing: it answers 503. headers: those of the latest request.
    """

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.port = 0
        self.delay = 0.0
        self.refusing = False
        self.headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        """What to write for `endpoint`."""
        return f"http://127.0.0.1:{self.port}"

    async def have(self, count: int) -> list[Received]:
        """The spans, once there are so many."""
        await until(lambda: len(self.spans) >= count, "the spans")
        return self.spans

    async def trace(self, trace_id: str, count: int) -> list[Received]:
        """The spans of a trace, its server span first, once there are so many."""

        def found() -> list[Received]:
            return [span for span in self.spans if span.trace_id == trace_id]

        await until(lambda: len(found()) >= count, "the trace")
        return sorted(found(), key=lambda span: span.kind != "server")

    def take(self, message: ExportTraceServiceRequest) -> None:
        """Keep the spans of a batch."""
        for group in message.resource_spans:
            resource = _values(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_received(span, resource) for span in scope.spans]


def _received(span: Any, resource: dict[str, Any]) -> Received:
    return Received(
        span.name,
        _KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.trace_state,
        span.status.code == 2,
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        _values(span.attributes),
        [_values(event.attributes) for event in span.events],
        resource,
    )


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextlib.asynccontextmanager
async def collecting(protocol: str = "http", port: int = 0) -> AsyncIterator[Collector]:
    """Run a collector; on a free port unless one is given."""
    collector = Collector()
    collector.port = port
    listen = _http if protocol == "http" else _grpc
    async with listen(collector):
        yield collector


@contextlib.asynccontextmanager
async def _http(collector: Collector) -> AsyncIterator[None]:
    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        collector.headers = {name.lower(): value for name, value in request.headers.items()}
        await asyncio.sleep(collector.delay)
        if collector.refusing:
            return web.Response(status=503)
        if request.headers.get("Content-Encoding") == "gzip":
            with contextlib.suppress(gzip.BadGzipFile):
                body = gzip.decompress(body)
        assert request.headers["Content-Type"] == "application/x-protobuf"
        collector.take(ExportTraceServiceRequest.FromString(body))
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    app = web.Application(client_max_size=2**26)
    app.add_routes([web.post("/v1/traces", receive)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", collector.port)
    await site.start()
    collector.port = runner.addresses[0][1]
    try:
        yield
    finally:
        await runner.cleanup()


class _Servicer(TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    async def Export(
        self, request: ExportTraceServiceRequest, context: Any
    ) -> ExportTraceServiceResponse:
        self._collector.headers = dict(context.invocation_metadata())
        await asyncio.sleep(self._collector.delay)
        self._collector.take(request)
        return ExportTraceServiceResponse()


@contextlib.asynccontextmanager
async def _grpc(collector: Collector) -> AsyncIterator[None]:
    server = grpc.aio.server()
    add_TraceServiceServicer_to_server(_Servicer(collector), server)  # type: ignore[no-untyped-call]
    collector.port = server.add_insecure_port(f"127.0.0.1:{collector.port}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)
