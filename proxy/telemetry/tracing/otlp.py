"""Spans as OpenTelemetry's SDK knows them, and its exporters: the only importer of either.

Imported when traces are recorded, and then in the thread that sends them, since it takes
half a second. Nothing here is called by the event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from grpc import Compression as GrpcCompression
from grpc import ssl_channel_credentials
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http import Compression as HttpCompression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpExporter,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from proxy.config.telemetry import Tracing
from proxy.telemetry.tracing.spans import Span
from proxy.wire.tls import make_client

_PATH: Final = "/v1/traces"
_KINDS: Final = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}
_UNSET: Final = Status(StatusCode.UNSET)


class OtlpExporter:
    """Sends to one collector. version: of Sidegate. Raises ValueError for an unusable CA file."""

    def __init__(self, options: Tracing, version: str) -> None:
        self._exporter = _make_exporter(options)
        self._resource = Resource.create(
            {"service.name": options.service, "service.version": version}
        )
        self._scope = InstrumentationScope("sidegate", version)

    def send(self, spans: Sequence[Span]) -> bool:
        """Encode and send."""
        made = [self.convert(span) for span in spans]
        return self._exporter.export(made) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """A batch that is on its way is not repeated any more."""
        self._exporter.shutdown()

    def convert(self, span: Span) -> ReadableSpan:
        """A span of the SDK's."""
        state = TraceState.from_header([span.state]) if span.state else None
        flags = TraceFlags(span.flags)
        trace_id = int(span.trace_id, 16)
        parent = None
        if span.parent_id:
            parent = SpanContext(trace_id, int(span.parent_id, 16), span.remote, flags, state)
        return ReadableSpan(
            span.name,
            context=SpanContext(trace_id, int(span.span_id, 16), False, flags, state),
            parent=parent,
            resource=self._resource,
            attributes=span.attributes,
            events=[Event(event.name, event.attributes, event.at) for event in span.events],
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR) if span.error else _UNSET,
            start_time=span.began,
            end_time=span.ended,
            instrumentation_scope=self._scope,
        )


def _make_exporter(options: Tracing) -> SpanExporter:
    parts = urlsplit(options.endpoint)
    if options.ca_file is not None:
        # Both exporters would say later, and not in words, that it can't be used.
        make_client(options.ca_file)
    if options.protocol == "grpc":
        secure = parts.scheme == "https"
        authorities = Path(options.ca_file).read_bytes() if secure and options.ca_file else None
        return GrpcExporter(
            endpoint=options.endpoint,
            insecure=not secure,
            credentials=ssl_channel_credentials(authorities) if secure else None,
            headers={name.lower(): value for name, value in options.headers.items()},
            timeout=options.timeout,
            compression=getattr(GrpcCompression, _GRPC_COMPRESSION[options.compression]),
        )
    endpoint = options.endpoint.rstrip("/")
    return HttpExporter(
        endpoint=endpoint if parts.path.strip("/") else endpoint + _PATH,
        certificate_file=options.ca_file,
        headers=options.headers,
        timeout=options.timeout,
        compression=HttpCompression(options.compression),
    )


_GRPC_COMPRESSION: Final = {"none": "NoCompression", "gzip": "Gzip"}
