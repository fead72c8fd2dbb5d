"""Who owns each microsecond of a request: `python -m tests.benchmarks.owners`.

A profile by samples over the pipeline of paper. A sample belongs to the innermost call that has
an owner here; what all of them use (`http1/`, `cells`, `store/`) has none, and so is its caller's.
May live here: who owns what. What the kernel and the loop's own C take is left out: see
`stages` of `measures`.
"""

from __future__ import annotations

import gc
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Final

import uvloop

from tests.benchmarks.cost import Cost, table
from tests.benchmarks.pipeline import CASES, Case, Pipeline

REQUESTS: Final = 60_000
INTERVAL: Final = 0.0005
"""Seconds between samples."""

PARSE: Final = "parse: requests and responses"
ROUTE: Final = "route"
CHAIN: Final = "chain of policies"
UPSTREAM: Final = "upstream: choose a connection, ask"
SERIALIZE: Final = "serialize: requests and responses"
LOG: Final = "log: access line"
METRICS: Final = "metrics"
CONNECTIONS: Final = "connections, exchanges, turns"
LOOP: Final = "event loop"
_PAPER: Final = "paper"

# The first that a place begins with; a place is `server/reply.py:frame_response`.
_OWNERS: Final[tuple[tuple[str, str], ...]] = (
    ("server/arrival", PARSE),
    ("server/visitor", PARSE),
    ("upstream/heads", PARSE),
    ("upstream/connection.py:UpstreamConnection._read", PARSE),
    ("runtime/gateway.py:Gateway.resolve", ROUTE),
    ("routing/", ROUTE),
    ("runtime/gateway.py:Gateway.finished", METRICS),
    ("runtime/", CHAIN),
    ("upstream/forward.py:Forwarder._request", SERIALIZE),
    ("upstream/", UPSTREAM),
    ("server/reply", SERIALIZE),
    ("telemetry/access_log", LOG),
    ("telemetry/sink", LOG),
    ("telemetry/selection", LOG),
    ("telemetry/observer", METRICS),
    ("telemetry/route_cells", METRICS),
    ("server/", CONNECTIONS),
    ("wire/", CONNECTIONS),
)
_PROXY: Final = "/proxy/"
_PAPERS: Final = "/tests/benchmarks/"


def owner(places: Sequence[tuple[str, str]]) -> str:
    """Whose a sample is. places: file and qualified name of each call, innermost first."""
    for file, name in places:
        if file == __file__:
            # It stands outside of the loop, and nothing between them has an owner.
            return LOOP
        if _PAPERS in file:
            return _PAPER
        if _PROXY not in file:
            continue
        place = f"{file.rpartition(_PROXY)[2]}:{name}"
        if place.startswith("policies/"):
            return "policy " + place.split("/")[1].partition(".")[0]
        for beginning, who in _OWNERS:
            if place.startswith(beginning):
                return who
    return LOOP


def shares(samples: Counter[str]) -> dict[str, float]:
    """Each owner's share of all, without the paper's; 0 to 1, largest first."""
    kept = {who: count for who, count in samples.most_common() if who != _PAPER}
    total = sum(samples.values())
    return {who: count / total for who, count in kept.items()}


def costs(case: Case, requests: int = REQUESTS) -> list[Cost]:
    """Microseconds of each owner."""
    samples: Counter[str] = Counter()
    spent = profile(case, requests, samples)
    rows = [Cost(who, share * spent) for who, share in shares(samples).items()]
    return [*rows, Cost("all of them", sum(row.microseconds for row in rows))]


def profile(case: Case, requests: int, samples: Counter[str]) -> float:
    """Count whose each sample is; the microseconds of CPU that a request took, paper included."""

    def sample(number: int, frame: FrameType | None) -> None:
        places = []
        while frame is not None:
            places.append((frame.f_code.co_filename, frame.f_code.co_qualname))
            frame = frame.f_back
        samples[owner(places)] += 1

    loop = uvloop.new_event_loop()
    before = signal.signal(signal.SIGALRM, sample)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(loop),
        closing(Pipeline(loop, Path(folder), case.configuration)) as pipeline,
    ):
        loop.run_until_complete(pipeline.run(max(64, requests // 10), case.request, case.status))
        gc.collect()
        began = time.process_time()
        loop.run_until_complete(pipeline.run(requests // 4, case.request, case.status))
        spent = (time.process_time() - began) / (requests // 4) * 1e6
        signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
        try:
            loop.run_until_complete(pipeline.run(requests, case.request, case.status))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)
    return spent


def main() -> int:
    """Print a table for each workload."""
    for name, case in CASES.items():
        print("\n".join(table(f"{name}: whose", costs(case))), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
