"""`make bench`: Sidegate beside other proxies, one core each, the same work, in turns.

The proxy that is measured has the first core to itself; wrk and the origin share the second
(the origin gets a third where there is one). The rounds are interleaved, so that what
disturbs the machine disturbs all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks import cost, eviction, protection, telemetry
from tests.benchmarks.answer import faults
from tests.benchmarks.load import Load, run_load
from tests.benchmarks.peers.caddy import Caddy
from tests.benchmarks.peers.envoy import Envoy
from tests.benchmarks.peers.haproxy import HAProxy
from tests.benchmarks.peers.nginx import Nginx
from tests.benchmarks.peers.peer import Peer, Place
from tests.benchmarks.peers.plain_aiohttp import PlainAiohttp
from tests.benchmarks.peers.sidegate import Sidegate
from tests.benchmarks.peers.varnish import Varnish
from tests.benchmarks.process import Process, await_answer, free_port
from tests.benchmarks.report import BASES, Sample, record, remarks, table

PEERS: Final[tuple[Peer, ...]] = (
    Sidegate(), PlainAiohttp(), Envoy(), Nginx(), HAProxy(), Caddy(),
)  # fmt: skip
CACHES: Final[tuple[Peer, ...]] = (*(peer for peer in PEERS if peer.caches), Varnish())
RESULTS: Final = Path(__file__).with_name("results")


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core does what."""

    proxy: int
    load: int
    origin: int


@dataclass(frozen=True, slots=True)
class Contender:
    """A proxy that runs and does its work."""

    peer: Peer
    place: Place
    process: Process


def main(arguments: list[str]) -> int:
    """Measure and print; 0, or 1 when nothing could be measured."""
    options = _options(arguments)
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        print("The benchmark needs two cores: one for the proxy, one for the load.")
        return 1
    cores = Cores(usable[0], usable[1], usable[2] if len(usable) > 2 else usable[1])
    with ExitStack() as stack:
        # In memory where there is a place for it, so that no disk takes part.
        memory = Path("/dev/shm")
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(
                    prefix="sidegate-bench-", dir=memory if os.access(memory, os.W_OK) else None
                )
            )
        )
        origin_port = free_port()
        origin = _start_origin(folder, origin_port, cores, stack, options.cache)
        contenders = _start(options, folder, origin_port, cores, stack)
        if not contenders:
            print("There is no proxy to measure.")
            return 1
        for contender in contenders:
            run_load(contender.place.port, cores.load, 1, options.connections)
        results: dict[str, list[Sample]] = {c.peer.name: [] for c in contenders}
        for number in range(options.rounds):
            shift = number % len(contenders)
            for contender in contenders[shift:] + contenders[:shift]:
                sample = _measure(contender, origin, cores, options)
                results[contender.peer.name].append(sample)
                print(
                    f"round {number + 1}/{options.rounds}  {contender.peer.name:14}"
                    f"{sample.rps:9,.0f} requests/s  p99 {sample.p99:6.2f} ms"
                    f"  CPU {sample.cpu:6.1f} µs/request",
                    flush=True,
                )
    print(
        f"\n{options.rounds} rounds of {options.seconds:g} s each, {options.connections}"
        f" connections, Python {platform.python_version()}, {len(usable)} cores\n"
    )
    print("\n".join(table(results, ("nginx",) if options.cache else BASES)), end="\n\n")
    if options.cache:
        print(eviction.CAPTION, "", *eviction.table(), sep="\n", end="\n\n")
    else:
        for title, rows in (
            ("telemetry of a request", telemetry.costs()),
            ("looking at a request", protection.costs()),
        ):
            print("\n".join(cost.table(title, rows)), end="\n\n")
    print("\n".join(remarks(results, {peer.name: peer.note for peer in _peers(options)})))
    if options.save:
        _save(options, results, len(usable))
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each proxy in each round")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 seconds")
    parser.add_argument("--cache", action="store_true", help="measure answers from a cache")
    parser.add_argument(
        "--only", nargs="+", metavar="PROXY", help=", ".join(peer.name for peer in PEERS)
    )
    parser.add_argument("--save", action="store_true", help="write all figures to results/ as JSON")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds = 2, 2.0
    if options.rounds < 1 or options.seconds < 1 or options.connections < 1:
        parser.error("rounds, seconds and connections begin at 1")
    known = {peer.name.lower() for peer in _peers(options)}
    for name in options.only or ():
        if name.lower() not in known:
            names = ", ".join(peer.name for peer in _peers(options))
            parser.error(f"no proxy {name!r}; there are {names}")
    return options


def _peers(options: argparse.Namespace) -> tuple[Peer, ...]:
    return CACHES if options.cache else PEERS


def _start_origin(folder: Path, port: int, cores: Cores, stack: ExitStack, cache: bool) -> Process:
    # Its answers bear a date that may be long past.
    max_age = "2000000000" if cache else "0"
    command = (sys.executable, "-m", "tests.benchmarks.origin", str(port), max_age)
    process = Process(command, cores.origin, folder / "origin.out", folder / "origin.err")
    stack.callback(process.stop)
    await_answer(process, port)
    return process


def _start(
    options: argparse.Namespace, folder: Path, origin_port: int, cores: Cores, stack: ExitStack
) -> list[Contender]:
    """Start what is installed and asked for; leave out, with a line, what doesn't do its work."""
    wanted = {name.lower() for name in options.only or ()}
    contenders = []
    for peer in _peers(options):
        if wanted and peer.name.lower() not in wanted:
            continue
        if peer.program() is None:
            print(f"{peer.name}: not installed, left out")
            continue
        own = folder / peer.name.replace(" ", "-").lower()
        own.mkdir()
        place = Place(own, free_port(), origin_port, own / "access.log", options.cache)
        launch = peer.launch(place)
        output = place.log if launch.logs_to_output else own / "output"
        process = Process(launch.command, cores.proxy, output, own / "errors", launch.environment)
        stack.callback(process.stop)
        try:
            await_answer(process, place.port)
            wrong = faults(place.port, policies=peer.policies, log=place.log, cached=options.cache)
        except (OSError, RuntimeError, ValueError) as failure:
            wrong = [str(failure)]
        if wrong:
            print(f"{peer.name}: left out: {'; '.join(wrong)}")
        else:
            contenders.append(Contender(peer, place, process))
    return contenders


def _measure(
    contender: Contender, origin: Process, cores: Cores, options: argparse.Namespace
) -> Sample:
    """One run of the load. Raises RuntimeError when an answer was wrong."""
    before, origin_before = contender.process.cpu_seconds(), origin.cpu_seconds()
    load: Load = run_load(contender.place.port, cores.load, options.seconds, options.connections)
    cpu = contender.process.cpu_seconds() - before
    shared = origin.cpu_seconds() - origin_before if cores.origin == cores.load else 0.0
    if load.failed or not load.requests:
        raise RuntimeError(
            f"{contender.peer.name}: {load.failed} of {load.requests} requests failed"
        )
    if contender.place.log.exists():
        os.truncate(contender.place.log, 0)
    return Sample(
        rps=load.requests / load.seconds,
        p50=load.p50,
        p99=load.p99,
        cpu=cpu / load.requests * 1e6,
        rss=contender.process.resident_bytes(),
        used=cpu / load.seconds,
        busy=(load.cpu_seconds + shared) / load.seconds,
    )


def _save(options: argparse.Namespace, results: dict[str, list[Sample]], cores: int) -> None:
    facts = {
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "cores": cores,
        "seconds": options.seconds,
        "connections": options.connections,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{facts['taken'].replace(':', '')}.json"
    path.write_text(json.dumps(record(results, facts), indent=2) + "\n")
    print(f"\nWritten to {path}")


if __name__ == "__main__":
    for needed in ("wrk", "taskset"):
        if shutil.which(needed) is None:
            sys.exit(f"{needed} is missing; `make bench` installs it")
    sys.exit(main(sys.argv[1:]))
