"""How much more two workers on two cores serve than one on one: `make bench-workers`.

The load and the origins stand on both cores in either case, so that half of what a worker hears
comes from its own core and half from the other: waking another core costs a virtual machine
more than all that Sidegate does. The load takes its part of the cores, so what counts is CPU
time: if a request takes no more of it with two workers, two cores serve twice as many.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from tests.benchmarks.load import Load, run_load
from tests.benchmarks.process import Process, await_answer, free_port

ROUNDS: Final = 8
SECONDS: Final = 2.0
CONNECTIONS: Final = 64
CONFIGURATION: Final = """\
server: {{listen: "http://127.0.0.1:{port}", workers: {workers}}}
admin: {{listen: null}}
telemetry: {{log: {{format: json}}}}
upstreams: {{origin: {{endpoints: {origins}}}}}
policies:
  rate_limit: {{limit: 1000000/s, burst: 1000000, key: client_ip}}
"""


class Round(NamedTuple):
    """requests a second, and microseconds of CPU time that each took."""

    rate: float
    cost: float


class Instance:
    """Sidegate with a worker on each of so many cores. load: the cores that the load is on."""

    def __init__(self, folder: Path, cores: list[int], load: list[int], origins: list[int]) -> None:
        self._load = load
        self._port = free_port()
        addresses = [f"http://127.0.0.1:{port}" for port in origins]
        text = CONFIGURATION.format(port=self._port, workers=len(cores), origins=addresses)
        file = folder / f"{len(cores)}.yaml"
        file.write_text(text, encoding="utf-8")
        command = (sys.executable, "-m", "proxy", "run", str(file))
        log = file.with_suffix(".log")
        self._process = Process(command, cores[0], log, file.with_suffix(".errors"))
        # Connections are accepted, and wait, from before there is a worker.
        while '"ready"' not in log.read_text(encoding="utf-8"):
            await_answer(self._process, self._port)
            time.sleep(0.1)
        for core, pid in zip(cores, self._process.pids[1:], strict=False):
            os.sched_setaffinity(pid, {core})

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    def measure(self, seconds: float) -> Round:
        """One run of the load, with a part of it on each core."""

        def load(core: int) -> Load:
            return run_load(self._port, core, seconds, CONNECTIONS)

        before = self._process.cpu_seconds()
        with ThreadPoolExecutor() as pool:
            loads = list(pool.map(load, self._load))
        spent = self._process.cpu_seconds() - before
        requests = sum(load.requests for load in loads)
        return Round(sum(load.requests / load.seconds for load in loads), spent / requests * 1e6)


def main() -> int:
    """Measure and print; 1 when two cores serve less than 1.8 times what one does."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sidegate-scale-")))
        cores = sorted(os.sched_getaffinity(0))[:2]
        origins = []
        for core in cores:
            origins.append(free_port())
            command = (sys.executable, "-m", "tests.benchmarks.origin", str(origins[-1]), "0")
            origin = Process(command, core, folder / "origin.out", folder / "origin.err")
            stack.callback(origin.stop)
            await_answer(origin, origins[-1])
        instances = [
            Instance(folder, cores[:1], cores, origins),
            Instance(folder, cores, cores, origins),
        ]
        for instance in instances:
            stack.callback(instance.stop)
            instance.measure(1)
        rounds: list[tuple[Round, Round]] = []
        for number in range(ROUNDS):
            order = instances if number % 2 else instances[::-1]
            measured = {instance: instance.measure(SECONDS) for instance in order}
            one, two = (measured[instance] for instance in instances)
            rounds.append((one, two))
            print(
                f"one core {one.rate:7,.0f} requests/s {one.cost:5.1f} µs"
                f"   two {two.rate:7,.0f} requests/s {two.cost:5.1f} µs"
                f"   {2 * one.cost / two.cost:.2f} times by CPU time,"
                f" {two.rate / one.rate:.2f} by rate",
                flush=True,
            )
    times = statistics.median(2 * one.cost / two.cost for one, two in rounds)
    rates = statistics.median(two.rate / one.rate for one, two in rounds)
    print(f"\nmedian: two cores serve {times:.2f} times what one does; {rates:.2f} beside the load")
    return 0 if times >= 1.8 else 1


if __name__ == "__main__":
    sys.exit(main())
