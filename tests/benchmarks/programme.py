"""The sections of the benchmark: each measures one thing of all proxies, and keeps it.

May live here: what is measured, of whom, how often. Must not live here: how (`measures`), and
what is told of it (`report`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from tests.benchmarks import allocations, instructions, owners
from tests.benchmarks.contest import Contest, Cores, contest, in_turns
from tests.benchmarks.cost import Cost
from tests.benchmarks.figures import Alone, Crowd
from tests.benchmarks.goals import LIMIT, LOOKING, ORIGIN
from tests.benchmarks.inside import rows
from tests.benchmarks.interpreters import environments, found, of_the_image
from tests.benchmarks.load import run_load
from tests.benchmarks.measures import alone, crowd, half_load, throughput
from tests.benchmarks.peers.caddy import Caddy
from tests.benchmarks.peers.envoy import Envoy
from tests.benchmarks.peers.haproxy import HAProxy
from tests.benchmarks.peers.nginx import Nginx
from tests.benchmarks.peers.peer import Duty, Peer
from tests.benchmarks.peers.plain_aiohttp import PlainAiohttp
from tests.benchmarks.peers.sidegate import Sidegate
from tests.benchmarks.peers.varnish import Varnish
from tests.benchmarks.pipeline import CASES
from tests.benchmarks.record import Record
from tests.benchmarks.workload import WORKLOADS, Workload


def peers(python: str) -> tuple[Peer, ...]:
    """Whom there is to compare. python: the interpreter that runs those that are of Python."""
    return (
        Sidegate(python=python),
        PlainAiohttp(python=python),
        PlainAiohttp("aiohttp, forwards only", python, policies=False),
        Envoy(),
        Envoy("Envoy, without traces", traces=False),
        Nginx(),
        HAProxy(),
        Caddy(),
        Varnish(),
    )


SMALL: Final = WORKLOADS["small"][0]


@dataclass(frozen=True, slots=True)
class Plan:
    """rounds: of everything. seconds: of each proxy in a round. peers: who takes part. python:
    that of the environment whose build is measured."""

    rounds: int
    seconds: float
    peers: Sequence[Peer]
    cores: Cores
    python: str = sys.executable

    def able(self, duty: Duty, *, aside: bool = False) -> list[Peer]:
        """Those that can do it; aside: with those that are for small GETs alone."""
        return [peer for peer in self.peers if duty in peer.duties and (aside or not peer.aside)]


class Section(NamedTuple):
    """measure: does it, and puts it into the record. seconds: about how long that takes."""

    measure: Callable[[Plan, Record], None]
    seconds: Callable[[Plan], float]


# Seconds that a proxy takes to start and to be checked, and a load beside its own time.
_START: Final = 1.5
_ASK: Final = 0.3


def tell(text: str) -> None:
    """Say how far it is."""
    print(f"  {text}", flush=True)


@contextmanager
def _contest(peers: Sequence[Peer], duty: Duty, plan: Plan, record: Record) -> Iterator[Contest]:
    """Proxies that run; what has to be known of them is put into the record."""
    with contest(peers, duty, plan.cores) as running:
        for contender in running.contenders:
            peer = contender.peer
            if not peer.aside:
                record.versions.setdefault(peer.name, peer.version())
            if peer.note:
                record.notes.setdefault(peer.name, peer.note)
        yield running


# -- beside other proxies --------------------------------------------------------------------------


def _workloads(workloads: Sequence[Workload]) -> Section:
    duty = workloads[0].duty

    def measure(plan: Plan, record: Record) -> None:
        everybody = plan.able(duty, aside=SMALL in workloads)
        with _contest(everybody, duty, plan, record) as running:
            for workload in workloads:
                tell(workload.title)
                among = running if workload is SMALL else running.without_aside()
                _warm_up(among, workload)
                turns = among.turns(
                    partial(throughput, contest=among, workload=workload, seconds=plan.seconds)
                )
                record.throughput[workload.title] = in_turns(turns, plan.rounds, tell)

    def seconds(plan: Plan) -> float:
        each = 1 + _ASK + plan.rounds * (plan.seconds + _ASK)
        able = (len(plan.able(duty, aside=workload is SMALL)) for workload in workloads)
        return len(plan.able(duty)) * _START + sum(able) * each

    return Section(measure, seconds)


def _warm_up(running: Contest, workload: Workload) -> None:
    for contender in running.contenders:
        load = (workload.connections, workload.request)
        run_load(contender.place.port, running.cores.load, 1.0, *load)


def _half_load(plan: Plan, record: Record) -> None:
    with _contest(plan.able("forward"), "forward", plan, record) as running:
        measure = partial(half_load, contest=running, workload=SMALL, seconds=plan.seconds)
        record.paced = in_turns(running.turns(measure), plan.rounds, tell)


def _one_connection(plan: Plan, record: Record) -> None:
    with _contest(plan.able("forward"), "forward", plan, record) as running:

        def ask(port: int) -> Alone:
            return alone(port, running, 1.0)

        turns = running.turns(lambda contender: ask(contender.place.port))
        direct = {ORIGIN: lambda: ask(running.origin_port)}
        record.alone = in_turns({**direct, **turns}, plan.rounds, tell)


def _idle(plan: Plan, record: Record) -> None:
    """Each round with new processes: memory that a crowd once took would be there for the next."""
    rounds: dict[str, list[Crowd]] = {}
    for number in range(plan.rounds):
        tell(f"with new processes, {number + 1} of {plan.rounds}")
        with _contest(plan.able("forward"), "forward", plan, record) as running:
            for name, figures in in_turns(running.turns(crowd), 1, tell).items():
                rounds.setdefault(name, []).extend(figures)
    record.crowd = rounds


# -- Sidegate by itself ----------------------------------------------------------------------------


def _interpreters(plan: Plan, record: Record) -> None:
    peers: list[Peer] = []
    for interpreter, python in environments(found()):
        peers.append(Sidegate(f"Sidegate, Python {interpreter.name}", python))
        peers.append(PlainAiohttp(f"plain aiohttp, Python {interpreter.name}", python))
    name, python = of_the_image()
    if python != sys.executable:
        peers.append(Sidegate(f"Sidegate, compiled, Python {name}", python))
    with contest(peers, "forward", plan.cores) as running:
        _warm_up(running, SMALL)
        measure = partial(throughput, contest=running, workload=SMALL, seconds=plan.seconds)
        record.interpreters = in_turns(running.turns(measure), plan.rounds, tell)


def _stages(plan: Plan, record: Record) -> None:
    requests = int(10_000 * plan.seconds)
    for name, case in CASES.items():
        # By the interpreter's frames, which what is compiled has none of.
        _keep(record, f"{name}: whose", partial(owners.costs, case, 3 * requests))
    parts = partial(rows, plan.python, "stages:parts", requests, plan.rounds)
    _keep(record, "small GET: without it", parts)


def _costs(plan: Plan, record: Record) -> None:
    _keep(record, "telemetry of a request", partial(rows, plan.python, "telemetry:costs"))
    _keep(record, LOOKING, partial(rows, plan.python, "protection:costs"))
    _keep(record, LIMIT, partial(rows, plan.python, "limits:costs"))


def _keep(record: Record, title: str, measure: Callable[[], Sequence[Cost]]) -> None:
    record.costs[title] = costs = measure()
    for row in costs:
        tell(f"{title}: {row.what:45} {row.microseconds:8.2f} µs")


def _counts(plan: Plan, record: Record) -> None:
    steps = instructions.count()
    memory = allocations.count()
    record.counts = {
        name: {
            "instructions of the interpreter": steps[name],
            "allocations": memory[name].allocations,
            "bytes of them": memory[name].bytes,
        }
        for name in steps
    }
    for name, row in record.counts.items():
        tell(f"{name}: " + ", ".join(f"{kind} {count:,.0f}" for kind, count in row.items()))


SECTIONS: Final[dict[str, Section]] = {
    **{name: _workloads(workloads) for name, workloads in WORKLOADS.items()},
    "half-load": Section(
        _half_load,
        lambda plan: len(plan.able("forward")) * plan.rounds * (1.5 + plan.seconds + 2 * _ASK),
    ),
    "one-connection": Section(
        _one_connection,
        lambda plan: (len(plan.able("forward")) + 1) * (_START + plan.rounds * (1 + _ASK)),
    ),
    "idle": Section(_idle, lambda plan: len(plan.able("forward")) * plan.rounds * (_START + 3.5)),
    "interpreters": Section(
        _interpreters, lambda plan: 13 * (_START + plan.rounds * (plan.seconds + _ASK))
    ),
    "stages": Section(_stages, lambda plan: plan.seconds * (14 + 4 * plan.rounds)),
    "costs": Section(_costs, lambda plan: 20.0),
    "counts": Section(_counts, lambda plan: 15.0),
}
"""By their names on the command line, in their order."""


def pin_here(core: int) -> None:
    """Keep what is measured in this process on a proxy's core."""
    os.sched_setaffinity(0, {core})
