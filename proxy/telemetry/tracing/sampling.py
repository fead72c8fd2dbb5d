"""Which traces are recorded: decided at their start by chance, at their end by what came. Pure.

A trace that somebody else began is recorded if they record it (parent-based). One that
starts here is, at the given ratio, told by its ID alone, so that every proxy with the same
ratio decides alike. At the end errors and slow requests are kept as well; of those the
services behind weren't told, so the trace has Sidegate's spans only.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.config.telemetry import Tracing
from proxy.contract import Request
from proxy.telemetry.tracing.attempts import SAMPLED

_HALF = 16
_SERVER_ERROR = 500


def make_sampler(ratio: float) -> Callable[[str], bool]:
    """Whether a trace that starts here is sampled, by its ID of 32 hex digits."""
    # The right half is the random one (Trace Context, 2.3). Digits compare as numbers do.
    bound = round(ratio * 2**64)
    digits = f"{bound:016x}" if bound < 2**64 else "g"
    return lambda trace_id: trace_id[_HALF:] < digits


def make_keeper(options: Tracing) -> Callable[[Request, int, float, str], bool]:
    """Whether a trace is recorded after all: by request, status, seconds, and what broke."""
    slow = options.slow
    errors = options.errors

    def keep(request: Request, status: int, seconds: float, broken: str) -> bool:
        return (
            bool(request.trace.flags & SAMPLED)
            or seconds >= slow
            or (errors and (status >= _SERVER_ERROR or bool(broken)))
        )

    return keep
