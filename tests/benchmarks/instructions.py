"""`make weigh`: how many of the interpreter's instructions a request takes.

A count, so that it is the same on every machine and however busy that is; a test holds each
change against the counts in `results/instructions.json`. It leaves out what is written in C,
which `make bench` measures. May live here: counting and the file. `python -m
tests.benchmarks.instructions` prints the counts of this checkout, `--write` keeps them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvloop

from tests.benchmarks.pipeline import CONFIGURATION, WORKLOADS, Pipeline

FILE: Final = Path(__file__).with_name("results") / "instructions.json"
REQUESTS: Final = 256
# Memories fill, and connections open.
_WARM_UP: Final = 64


def main(arguments: Sequence[str]) -> int:
    """Print the counts, or write them."""
    counts = count()
    if "--write" in arguments:
        kept = json.loads(FILE.read_text()) if FILE.exists() else {}
        kept[python()] = counts
        FILE.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
    print(json.dumps(counts))
    return 0


def python() -> str:
    """The interpreter's version, as each has instructions of its own."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def count() -> dict[str, int]:
    """Instructions of a request, for each workload."""
    return {name: _count(request) for name, request in WORKLOADS.items()}


def _count(request: bytes) -> int:
    loop = uvloop.new_event_loop()
    total = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return step

    def step(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal total
        total += event == "opcode"
        return step

    with (
        tempfile.TemporaryDirectory() as folder,
        closing(loop),
        closing(Pipeline(loop, Path(folder), CONFIGURATION, connections=1)) as pipeline,
    ):
        loop.run_until_complete(pipeline.run(_WARM_UP, request))
        sys.settrace(trace)
        try:
            loop.run_until_complete(pipeline.run(REQUESTS, request))
        finally:
            sys.settrace(None)
    return round(total / REQUESTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
