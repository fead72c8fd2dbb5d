"""`make bench-stages`: where a request's time goes, stage by stage and policy by policy.

CPU time in this process over a pipeline of paper, so the kernel's share is left out. A
stage is timed as a whole turn of the loop does it for all connections; a policy costs what
a request costs more with it than without.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from statistics import median
from typing import Any, Final

import uvloop

from proxy.server.connection import ClientConnection
from proxy.server.exchange import Exchange
from proxy.upstream.connection import UpstreamConnection
from proxy.wire.turn import Turn, Work
from tests.benchmarks.cost import Cost, table
from tests.benchmarks.pipeline import CONFIGURATION, WORKLOADS, Pipeline

REQUESTS: Final = 20_000
ROUNDS: Final = 5

_STAGES: Final[dict[Callable[..., None], str]] = {
    ClientConnection._read: "read requests, find routes",
    Exchange._descend: "policies on the way in, forward",
    UpstreamConnection._read_head: "read responses, give connections back",
    Exchange._ascend: "policies on the way out, send",
    Exchange._finish: "count and log",
}
_LEFT_OUT: Final = (
    "trace_context",
    "request_id",
    "security_headers",
    "error_envelope",
    "rate_limit",
)


def main(arguments: Sequence[str]) -> int:
    """Print the tables."""
    requests = int(arguments[0]) if arguments else REQUESTS
    for name, request in WORKLOADS.items():
        print("\n".join(table(f"{name}: stages", stages(request, requests))), end="\n\n")
    print("\n".join(table("small GET: each part", parts(requests))))
    return 0


def stages(request: bytes, requests: int) -> list[Cost]:
    """Each stage of a workload, and all of them together."""
    spent: dict[str, float] = {}
    do = Turn._do

    def timed(self: Turn, work: list[Work]) -> None:
        call = work[0][0]
        name = _STAGES.get(getattr(call, "__func__", call), "other")
        began = time.process_time()
        do(self, work)
        spent[name] = spent.get(name, 0.0) + time.process_time() - began

    Turn._do = timed  # type: ignore[method-assign]
    try:
        _run(CONFIGURATION, request, requests)
    finally:
        Turn._do = do  # type: ignore[method-assign]
    rows = [Cost(name, spent.get(name, 0.0) / requests * 1e6) for name in _STAGES.values()]
    return [*rows, Cost("all stages", sum(row.microseconds for row in rows))]


def parts(requests: int, rounds: int = ROUNDS) -> list[Cost]:
    """What each policy and the access line add; then what is left without them all.

    Medians of rounds in which all take turns, so that what disturbs one disturbs all.
    """
    variants = {"all": CONFIGURATION, **{name: _without(name) for name in _LEFT_OUT}}
    variants["access line"] = _without()
    variants["access line"]["telemetry"]["log"]["access"] = False
    variants["the rest"] = _without(*_LEFT_OUT)
    variants["the rest"]["telemetry"]["log"]["access"] = False
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, configuration in variants.items():
            taken[name].append(_run(configuration, WORKLOADS["small GET"], requests))
    figures = {name: median(times) for name, times in taken.items()}
    whole, rest = figures.pop("all"), figures.pop("the rest")
    rows = [Cost(name, whole - figure) for name, figure in figures.items()]
    return [*rows, Cost("everything else", rest), Cost("a request", whole)]


def _without(*policies: str) -> dict[str, Any]:
    configuration = deepcopy(CONFIGURATION)
    configuration["policies"].update(dict.fromkeys(policies, False))
    return configuration


def _run(configuration: dict[str, Any], request: bytes, requests: int) -> float:
    """Microseconds of CPU for a request, after a run that warms up."""
    loop = uvloop.new_event_loop()
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(loop),
        closing(Pipeline(loop, Path(folder), configuration)) as pipeline,
    ):
        loop.run_until_complete(pipeline.run(max(1, requests // 10), request))
        gc.collect()
        gc.freeze()
        began = time.process_time()
        loop.run_until_complete(pipeline.run(requests, request))
        return (time.process_time() - began) / requests * 1e6


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
