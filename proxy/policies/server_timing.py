"""Server-Timing: tells browsers' developer tools and scripts where the time went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pydantic import ConfigDict

from proxy.contract import PolicyOptions, PolicySpec, Request, Response, Toolkit

_FIELD: Final = "Server-Timing"


class Options(PolicyOptions):
    """Tell in `Server-Timing` where a request's time went.

    It has the milliseconds until the policies let the request through, until a connection
    was ready, until the service's response began, and the trace.

    A stranger learns from it how busy the service is, and how a refusal differs from an
    answer: put it on routes for developers, or on those of your own pages. What the service
    says in this field stays.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"trace": False}]})

    trace: bool = True
    """Also name the trace, as `traceparent`, for scripts that record the user's side of it."""


class ServerTiming:
    """Adds the field to what the service, or anything further in, says in it."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._clock: Callable[[], float] = toolkit.clock
        self._trace = options.trace

    def edit_response(self, request: Request, response: Response) -> None:
        """Tell the times of the stations that were reached, and of all up to now."""
        timings = request.timings
        parts = []
        last = timings.received
        for name, moment in (
            ("policy", timings.forwarded),
            ("connect", timings.connected),
            ("upstream", timings.first_byte),
        ):
            if moment:
                parts.append(f"{name};dur={_milliseconds(moment - last)}")
                last = moment
        parts.append(f"total;dur={_milliseconds(self._clock() - timings.received)}")
        trace = request.trace
        if self._trace and trace.trace_id:
            value = f"00-{trace.trace_id}-{trace.span_id}-{trace.flags:02x}"
            parts.append(f'traceparent;desc="{value}"')
        response.headers.add(_FIELD, ", ".join(parts))


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".")


POLICY = PolicySpec(
    "server_timing",
    Options,
    ServerTiming,
    after={"trace_context", "security_headers"},
    before={"error_envelope", "headers"},
)
