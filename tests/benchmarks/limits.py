"""What rate limits cost: `make bench-limits`.

Three tables: the CPU time that a limit adds to a request in this process; the memory of keys,
and the longest pause that any of them caused; and whole proxies without a limit, with one in
memory, and with one in Redis, asked about each request or for leases.

The proxy has the first core to itself; wrk, the origin and Redis share the second. The rounds
are interleaved, so that what disturbs the machine disturbs all of them alike.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import shutil
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from mmap import mmap
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from proxy.contract import Request
from proxy.limits import Quota
from proxy.policies.rate_limit.options import Options
from proxy.policies.rate_limit.policy import RateLimit
from proxy.runtime.chain import BoundPolicy, bind
from proxy.runtime.failing import raise_failure
from proxy.store.memory import Memory
from proxy.store.region import Region, size_of
from tests.benchmarks.cost import Cost, cpu_microseconds
from tests.benchmarks.cost import table as cost_table
from tests.benchmarks.load import run_load
from tests.benchmarks.process import Process, await_answer, free_port
from tests.unit.policies.world import World, a_request, upstream_response

CALLS: Final = 20_000
TIMES: Final = 9
KEYS: Final = 1_000_000

_CONFIGURATION: Final = """\
server: {{listen: "http://127.0.0.1:{port}"}}
admin: {{listen: null}}
telemetry: {{log: {{format: json}}}}
store: {store}
upstreams: {{origin: "http://127.0.0.1:{origin}"}}
policies: {policies}
"""
_LIMIT: Final = "limit: 1000000/s, burst: 1000000, key: client_ip"


# -- in this process -----------------------------------------------------------------------------


def costs(calls: int = CALLS) -> list[Cost]:
    """What limits add to a request: policies in their place in the chain, less the chain without
    them. calls: of each, in each of several rounds."""
    world = World()
    private = Region.private(os.urandom(16))
    shared = Region.shared(
        mmap(-1, size_of(100_000, 4)), 100_000, 4, worker=1, secret=os.urandom(16), wall=time.time
    )
    one = {"limit": "1000000/s", "burst": 1_000_000}
    several = {"limits": [one, {"limit": "100000000/day", "algorithm": "fixed_window"}]}
    cases: list[tuple[str, Region, dict[str, Any]]] = [
        ("one worker", private, one),
        ("one worker, nothing told to clients", private, {**one, "fields": "none"}),
        ("several workers", shared, one),
        ("one worker, by a header", private, {**one, "key": "header:X-Key"}),
        ("one worker, two limits", private, several),
        ("one worker, sliding window", private,
         {"limit": "100000000/s", "algorithm": "sliding_window"}),
    ]  # fmt: skip
    plain = _through([], calls)
    rows = []
    for what, region, options in cases:
        toolkit = replace(world.toolkit, store=Memory(region, time.monotonic, time.time))
        policy = RateLimit(Options.model_validate(options), toolkit)
        rows.append(
            Cost(what, _through([BoundPolicy("rate_limit", "enforce", policy)], calls) - plain)
        )
    return rows


def _through(policies: Sequence[BoundPolicy], calls: int) -> float:
    """Microseconds that a request takes down and up a chain."""
    level = bind(policies, raise_failure)
    # Policies that only wait for nothing share one level; what is inside is not of interest.
    response = upstream_response(200, ("Content-Type", "application/json"), ("ETag", '"a"'))
    headers = response.headers

    def once(request: Request) -> None:
        level.descend(request)
        response.headers = headers.copy()
        level.ascend(request, response)

    best = float("inf")
    for _ in range(TIMES):
        requests = [a_request("/", ("X-Key", "customer-7")) for _ in range(calls)]

        def all_of_them(requests: list[Request] = requests) -> None:
            for request in requests:
                once(request)

        best = min(best, cpu_microseconds(all_of_them))
    return best / calls


# -- memory ----------------------------------------------------------------------------------------


class Room(NamedTuple):
    """How many keys were counted, the bytes that each took, how many were forgotten too early,
    and the longest and the median question in microseconds."""

    keys: int
    bytes: float
    evicted: int
    longest: float
    median: float


def room(keys: int = KEYS) -> Room:
    """Count so many keys in memory that has room for as many."""
    waits = array("q", bytes(8 * keys))
    gc.collect()
    before = _resident()
    region = Region.private(os.urandom(16), keys)
    limiter = Memory(region, time.monotonic, time.time).limiter("x", [Quota("gcra", 5, 1e6, 5)])
    # CPU time: what else the machine does in between is no pause of ours.
    for number in range(keys):
        name = f"192.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        begun = time.thread_time_ns()
        limiter.take(name)
        waits[number] = time.thread_time_ns() - begun
    taken = (_resident() - before) / keys
    return Room(keys, taken, region.narrow.evicted, max(waits) / 1e3, median(waits) / 1e3)


def _resident() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


# -- whole proxies ---------------------------------------------------------------------------------


class Row(NamedTuple):
    """A proxy and what it does about limits."""

    name: str
    store: str
    policies: str


class Sample(NamedTuple):
    """One run: requests a second, microseconds of CPU time for each in the proxy, p99 in ms."""

    rps: float
    cpu: float
    p99: float


def compare(
    rounds: int, seconds: float, connections: int, stack: ExitStack
) -> dict[str, list[Sample]]:
    """Measure each in turn. Raises RuntimeError when anything doesn't start."""
    usable = sorted(os.sched_getaffinity(0))
    proxy, load = usable[0], usable[1]
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sidegate-limits-")))
    origin_port, redis_port = free_port(), free_port()
    origin = _start(
        stack, (sys.executable, "-m", "tests.benchmarks.origin", str(origin_port), "0"), load,
        folder, "origin", origin_port,
    )  # fmt: skip
    _start(
        stack, ("redis-server", "--port", str(redis_port), "--save", "", "--bind", "127.0.0.1"),
        load, folder, "redis", redis_port,
    )  # fmt: skip
    redis = f"redis://127.0.0.1:{redis_port}/0"
    rows = [
        Row("no limit", "{}", "{}"),
        Row("in memory", "{}", f"{{rate_limit: {{{_LIMIT}}}}}"),
        Row("Redis, exact", redis, f"{{rate_limit: {{{_LIMIT}}}}}"),
        Row("Redis, leased", redis, f"{{rate_limit: {{{_LIMIT}, precision: leased}}}}"),
    ]
    running: list[tuple[Row, int, Process]] = []
    for row in rows:
        port = free_port()
        file = folder / f"{len(running)}.yaml"
        file.write_text(
            _CONFIGURATION.format(
                port=port, store=row.store, origin=origin_port, policies=row.policies
            )
        )
        command = (sys.executable, "-m", "proxy", "run", str(file))
        running.append((row, port, _start(stack, command, proxy, folder, row.name, port)))
        run_load(port, load, 1, connections)
    results: dict[str, list[Sample]] = {row.name: [] for row in rows}
    for number in range(rounds):
        shift = number % len(running)
        for row, port, process in running[shift:] + running[:shift]:
            before = process.cpu_seconds()
            done = run_load(port, load, seconds, connections)
            if done.failed or not done.requests:
                raise RuntimeError(f"{row.name}: {done.failed} of {done.requests} requests failed")
            cpu = (process.cpu_seconds() - before) / done.requests * 1e6
            results[row.name].append(Sample(done.requests / done.seconds, cpu, done.p99))
            print(f"round {number + 1}/{rounds}  {row.name:14} {done.requests / done.seconds:9,.0f}"
                  f" requests/s  CPU {cpu:6.1f} µs/request", flush=True)  # fmt: skip
    if origin.exited():
        raise RuntimeError("the origin has ended")
    return results


def _start(
    stack: ExitStack, command: tuple[str, ...], core: int, folder: Path, name: str, port: int
) -> Process:
    process = Process(command, core, folder / f"{name}.out", folder / f"{name}.err")
    stack.callback(process.stop)
    await_answer(process, port)
    return process


def table(results: dict[str, list[Sample]]) -> list[str]:
    """Medians, and how much a core does compared with the limit in memory, round by round: by
    CPU time, since the rest depends on what else the machine does."""
    local = results["in memory"]
    lines = [
        "| limit | requests/s | CPU µs/request | p99 ms | × in memory, by CPU |",
        "|-|-:|-:|-:|-:|",
    ]
    for name, samples in results.items():
        ratio = median(own.cpu / sample.cpu for sample, own in zip(samples, local, strict=True))
        rps, cpu, p99 = (median(column) for column in zip(*samples, strict=True))
        lines.append(f"| {name} | {rps:,.0f} | {cpu:.1f} | {p99:.1f} | {ratio:.2f} |")
    return lines


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench-limits")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each in each round")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="in this process alone")
    options = parser.parse_args(arguments)
    print("\n".join(cost_table("a limit in memory adds", costs())))
    space = room()
    print(
        f"\n{space.keys:,} keys in memory: {space.bytes:.0f} bytes each, {space.evicted} "
        f"forgotten too early; a new key takes {space.median:.1f} µs, the longest took "
        f"{space.longest:.0f} µs."
    )
    if options.quick:
        return 0
    print()
    with ExitStack() as stack:
        results = compare(options.rounds, options.seconds, options.connections, stack)
    print(f"\n{options.rounds} rounds of {options.seconds:g} s each, {options.connections} "
          f"connections, Python {platform.python_version()}\n")  # fmt: skip
    print("\n".join(table(results)))
    return 0


if __name__ == "__main__":
    for needed in ("wrk", "taskset", "redis-server"):
        if shutil.which(needed) is None:
            sys.exit(f"{needed} is missing; `make bench-limits` installs it")
    sys.exit(main(sys.argv[1:]))
