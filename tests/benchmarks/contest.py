"""Proxies that are measured side by side: started, checked, and measured in turns.

The proxy that is measured has the first core to itself; the load and the origin share the
second (the origin gets a third where there is one). Rounds are interleaved, so that what
disturbs the machine disturbs all proxies alike.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.benchmarks.answer import faults
from tests.benchmarks.peers.peer import Duty, Peer, Place
from tests.benchmarks.process import Process, await_answer, free_port

Measured = TypeVar("Measured")


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core does what."""

    proxy: int
    load: int
    origin: int

    @classmethod
    def usable(cls) -> Cores:
        """Of this machine. Raises RuntimeError when it has but one."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise RuntimeError("the benchmark needs two cores: one for the proxy, one for the load")
        return cls(cores[0], cores[1], cores[2] if len(cores) > 2 else cores[1])


@dataclass(frozen=True, slots=True)
class Contender:
    """A proxy that runs and does its work."""

    peer: Peer
    place: Place
    process: Process


@dataclass(frozen=True, slots=True)
class Contest:
    """The proxies that take part, and the service behind them all."""

    contenders: Sequence[Contender]
    origin: Process
    origin_port: int
    cores: Cores

    def without_aside(self) -> Contest:
        """The same without those that take part in small GETs alone."""
        return replace(self, contenders=[one for one in self.contenders if not one.peer.aside])

    def turns(self, measure: Callable[[Contender], Measured]) -> dict[str, Callable[[], Measured]]:
        """What is to be done of each proxy, by its name; its log begins anew after that."""

        def turn(contender: Contender) -> Measured:
            measured = measure(contender)
            if contender.place.log.exists():
                os.truncate(contender.place.log, 0)
            return measured

        return {one.peer.name: partial(turn, one) for one in self.contenders}


@contextmanager
def contest(peers: Sequence[Peer], duty: Duty, cores: Cores) -> Iterator[Contest]:
    """Start what is installed; leave out, with a line, what doesn't do its work."""
    with ExitStack() as stack:
        # In memory where there is a place for it, so that no disk takes part.
        memory = Path("/dev/shm")
        inside = memory if os.access(memory, os.W_OK) else None
        made = tempfile.TemporaryDirectory(prefix="sidegate-bench-", dir=inside)
        folder = Path(stack.enter_context(made))
        origin_port = free_port()
        # What is answered from a cache bears a date that may be long past.
        max_age = "2000000000" if duty == "cache" else "0"
        command = (sys.executable, "-m", "tests.benchmarks.origin", str(origin_port), max_age)
        origin = Process(command, cores.origin, folder / "origin.out", folder / "origin.err")
        stack.callback(origin.stop)
        await_answer(origin, origin_port)
        contenders = []
        for peer in peers:
            contender = _start(peer, duty, folder, origin_port, cores, stack)
            if contender is not None:
                contenders.append(contender)
        yield Contest(contenders, origin, origin_port, cores)


def _start(
    peer: Peer, duty: Duty, folder: Path, origin_port: int, cores: Cores, stack: ExitStack
) -> Contender | None:
    if peer.program() is None:
        print(f"{peer.name}: not installed, left out")
        return None
    own = folder / peer.name.replace(" ", "-").lower()
    own.mkdir()
    place = Place(own, free_port(), origin_port, own / "access.log", duty)
    launch = peer.launch(place)
    output = place.log if launch.logs_to_output else own / "output"
    process = Process(launch.command, cores.proxy, output, own / "errors", launch.environment)
    stack.callback(process.stop)
    try:
        await_answer(process, place.port)
        wrong = faults(
            place.port, policies=peer.policies, log=place.log, duty=duty, traces=peer.traces
        )
    except (OSError, RuntimeError, ValueError) as failure:
        wrong = [str(failure)]
    if wrong:
        print(f"{peer.name}: left out: {'; '.join(wrong)}")
        return None
    return Contender(peer, place, process)


def in_turns(
    turns: Mapping[str, Callable[[], Measured]], rounds: int, tell: Callable[[str], None]
) -> dict[str, list[Measured]]:
    """What was measured of each, by its name. Each round begins with another one; one that fails
    takes no further part, and nothing of it is kept.
    """
    results: dict[str, list[Measured]] = {name: [] for name in turns}
    for number in range(rounds):
        left = list(results)
        shift = number % len(left) if left else 0
        for name in (*left[shift:], *left[:shift]):
            try:
                measured = turns[name]()
            except (OSError, RuntimeError) as failure:
                tell(f"{name}: left out: {failure}")
                del results[name]
            else:
                results[name].append(measured)
                tell(f"round {number + 1}/{rounds}  {name:36}{measured}")
    return results
