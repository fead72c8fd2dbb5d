"""How much memory a request asks for: `python -m tests.benchmarks.allocations`.

Counted by the C library's own trace of its allocator, with Python's objects sent through it
too; the pipeline is the one of paper. A count, and so the same however busy the machine is.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from tests.benchmarks.pipeline import CONFIGURATION, WORKLOADS, Pipeline

REQUESTS: Final = 128
_WARM_UP: Final = 64
_TRACER: Final = "libc_malloc_debug.so.0"


class Count(NamedTuple):
    """allocations of a request, and the bytes of them all."""

    allocations: float
    bytes: float


def count() -> dict[str, Count]:
    """For each workload. Raises RuntimeError where the C library is another one than GNU's."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.allocations", folder],
            env={**os.environ, "LD_PRELOAD": _TRACER, "PYTHONMALLOC": "malloc"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"allocations can't be counted: {done.stderr.strip()[-300:]}")
    return {name: Count(*row) for name, row in json.loads(done.stdout).items()}


def read_trace(lines: Iterable[str]) -> Count:
    """What was asked for, by a trace: `@ WHERE + ADDRESS SIZE`, in hexadecimal.

    `>` is the second half of a reallocation, `-` and `<` give memory back.
    """
    sizes = [int(line.rpartition(" ")[2], 16) for line in lines if " + " in line or " > " in line]
    return Count(len(sizes), sum(sizes))


def _switch(name: str) -> Callable[[], None]:
    """A function of the tracer: an old version of a symbol that the C library has anew."""
    find = ctypes.CDLL(None).dlvsym
    find.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
    find.restype = ctypes.c_void_p
    address = find(ctypes.CDLL(_TRACER)._handle, name.encode(), b"GLIBC_2.2.5")
    return ctypes.CFUNCTYPE(None)(address)


def _count(folder: Path, name: str, request: bytes) -> Count:
    begin, end = _switch("mtrace"), _switch("muntrace")
    trace = folder / name
    os.environ["MALLOC_TRACE"] = str(trace)
    loop = uvloop.new_event_loop()
    with (
        closing(loop),
        closing(Pipeline(loop, folder, CONFIGURATION, connections=1)) as pipeline,
    ):
        loop.run_until_complete(pipeline.run(_WARM_UP, request))
        begin()
        try:
            loop.run_until_complete(pipeline.run(REQUESTS, request))
        finally:
            end()
    with trace.open(encoding="ascii", errors="replace") as lines:
        total = read_trace(lines)
    return Count(total.allocations / REQUESTS, total.bytes / REQUESTS)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(json.dumps(count()))
    else:
        print(json.dumps({n: _count(Path(sys.argv[1]), n, r) for n, r in WORKLOADS.items()}))
