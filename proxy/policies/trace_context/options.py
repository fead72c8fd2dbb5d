"""What a user writes for `trace_context`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from proxy.contract import PolicyOptions


class Options(PolicyOptions):
    """Continue or start a W3C trace: `traceparent` and `tracestate`.

    The trace ID is in every log line, also where nothing records spans. A malformed
    `traceparent` is ignored together with its `tracestate`, and a new trace is started. Where
    there is no `traceparent`, a trace that came in B3 fields is continued; those of anybody
    who isn't believed are removed. The response carries the trace as `traceresponse`, in the
    same form.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"accept": "any"}]})

    accept: Literal["trusted", "any", "never"] = "trusted"
    """Whose traces are continued: those of `server.trusted_proxies`, anybody's, or nobody's."""
