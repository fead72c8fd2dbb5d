"""The load: wrk, with one thread on its own core, against one port."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path
from typing import NamedTuple


class Load(NamedTuple):
    """What one run of the load counted.

    requests: answered. seconds: how long it took. p50, p99: latency in milliseconds.
    failed: answers that were no 2xx or 3xx, and connections that failed. cpu_seconds:
    what wrk itself used.
    """

    requests: int
    seconds: float
    p50: float
    p99: float
    failed: int
    cpu_seconds: float


def run_load(port: int, core: int, seconds: float, connections: int) -> Load:
    """Ask for `/` as fast as the answers come. Raises RuntimeError when wrk fails."""
    before = _children()
    done = subprocess.run(
        [
            "taskset", "-c", str(core),
            "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s",
            "-s", str(Path(__file__).with_name("report.lua")),
            "-H", "Accept: application/json", "-H", "User-Agent: wrk",
            f"http://127.0.0.1:{port}/products/7?colour=red",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return read_counts(done.stdout, done.stderr, _children() - before)


def read_counts(output: str, errors: str, cpu_seconds: float) -> Load:
    """The line that report.lua printed. Raises RuntimeError when there is none."""
    for line in output.splitlines():
        if line.startswith("COUNTED "):
            counted = json.loads(line.removeprefix("COUNTED "))
            return Load(
                requests=counted["requests"],
                seconds=counted["microseconds"] / 1e6,
                p50=counted["p50"] / 1e3,
                p99=counted["p99"] / 1e3,
                failed=counted["failed"],
                cpu_seconds=cpu_seconds,
            )
    raise RuntimeError(f"wrk counted nothing: {(errors or output).strip()}")


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
