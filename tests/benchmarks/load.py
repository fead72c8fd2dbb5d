"""The load: wrk, with one thread on its own core, against one port."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.benchmarks.requests import SEQUENCE, SMALL

PATIENCE: Final = 20.0
"""Seconds that a load may take longer than it was told to."""


class Load(NamedTuple):
    """What one run of the load counted.

    requests: answered. seconds: how long it took. p50, p99: latency in milliseconds.
    refused: answers with a status of 400 or more. failed: connections that failed, and
    requests that had no answer. cpu_seconds: what wrk itself used.
    """

    requests: int
    seconds: float
    p50: float
    p99: float
    refused: int
    failed: int
    cpu_seconds: float


def run_load(
    port: int, core: int, seconds: float, connections: int, request: bytes = SMALL
) -> Load:
    """Ask as fast as the answers come. Raises RuntimeError when wrk fails, or comes to no end."""
    before = _children()
    done = finish(
        [
            "taskset", "-c", str(core),
            "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s",
            "-s", str(Path(__file__).with_name("load.lua")), f"http://127.0.0.1:{port}/",
        ],
        {
            **os.environ,
            "BENCH_REQUEST": request.decode("ascii"),
            "BENCH_SEQUENCE": SEQUENCE.decode("ascii"),
            # No run repeats what another one asked.
            "BENCH_FIRST": str(time.time_ns() // 1000 % 10**15),
        },
        seconds + PATIENCE,
    )  # fmt: skip
    return read_counts(done.stdout, done.stderr, _children() - before)


def finish(
    command: Sequence[str], environment: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run a load to its end. Raises RuntimeError when it takes longer."""
    try:
        return subprocess.run(
            command, env=environment, timeout=seconds, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"the load came to no end in {seconds:g} s") from None


def read_counts(output: str, errors: str, cpu_seconds: float) -> Load:
    """The line that load.lua printed. Raises RuntimeError when there is none."""
    for line in output.splitlines():
        if line.startswith("COUNTED "):
            counted = json.loads(line.removeprefix("COUNTED "))
            return Load(
                requests=counted["requests"],
                seconds=counted["microseconds"] / 1e6,
                p50=counted["p50"] / 1e3,
                p99=counted["p99"] / 1e3,
                refused=counted["refused"],
                failed=counted["failed"],
                cpu_seconds=cpu_seconds,
            )
    raise RuntimeError(f"wrk counted nothing: {(errors or output).strip()}")


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
