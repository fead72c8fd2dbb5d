"""How each figure is measured: one function for one round of one proxy.

What `figures` names is read here from the load's counts and from the kernel's accounts of the
proxy's process. Raises RuntimeError where an answer was wrong, since figures of a proxy that
fails say nothing.
"""

from __future__ import annotations

import resource
import socket
import time
from contextlib import ExitStack
from typing import Final

from tests.benchmarks.contest import Contender, Contest
from tests.benchmarks.figures import Alone, Crowd, Paced, Sample
from tests.benchmarks.load import Load, run_load
from tests.benchmarks.origin import BODY
from tests.benchmarks.pace import Pace, run_pace
from tests.benchmarks.requests import SMALL
from tests.benchmarks.workload import Workload

IDLE: Final = 5_000
"""Clients of a crowd."""

# So long a proxy gets to put away what it needed for the crowd's requests.
_REST: Final = 1.0
# Of the requests that a limit is to refuse, the few that it lets pass.
_PASSED: Final = 0.001


def throughput(
    contender: Contender, contest: Contest, workload: Workload, seconds: float
) -> Sample:
    """As many requests of the workload as are answered."""
    cores, process, origin = contest.cores, contender.process, contest.origin
    before, origin_before = process.cpu_seconds(), origin.cpu_seconds()
    system_before = process.system_seconds()
    load = run_load(
        contender.place.port, cores.load, seconds, workload.connections, workload.request
    )
    cpu = process.cpu_seconds() - before
    system = process.system_seconds() - system_before
    shared = origin.cpu_seconds() - origin_before if cores.origin == cores.load else 0.0
    _check(contender.peer.name, load, workload)
    return Sample(
        rps=load.requests / load.seconds,
        p50=load.p50,
        p99=load.p99,
        cpu=cpu / load.requests * 1e6,
        system=system / load.requests * 1e6,
        rss=process.resident_bytes(),
        used=cpu / load.seconds,
        busy=(load.cpu_seconds + shared) / load.seconds,
    )


def _check(name: str, load: Load, workload: Workload) -> None:
    if load.failed or not load.requests:
        raise RuntimeError(f"{name}: {load.failed} of {load.requests} requests failed")
    refuses = workload.duty == "refuse"
    least, most = (1 - _PASSED, 1.0) if refuses else (0.0, 0.0)
    if not least <= load.refused / load.requests <= most:
        raise RuntimeError(f"{name}: refused {load.refused} of {load.requests} requests")


def half_load(contender: Contender, contest: Contest, workload: Workload, seconds: float) -> Paced:
    """Half as many requests as it could answer just before, at times of the load's own."""
    port, core = contender.place.port, contest.cores.load
    peak = run_load(port, core, 1.0, workload.connections)
    before = contender.process.cpu_seconds()
    pace = run_pace(port, core, peak.requests / peak.seconds / 2, seconds, workload.connections)
    if pace.failed:
        raise RuntimeError(f"{contender.peer.name}: {pace.failed} requests failed at half load")
    cpu = (contender.process.cpu_seconds() - before) / (pace.rate * seconds) * 1e6
    return _paced(pace, cpu)


def paced_origin(contest: Contest, rate: float, seconds: float, connections: int) -> Paced:
    """The origin without a proxy, asked at a rate: what origin and load add themselves."""
    pace = run_pace(contest.origin_port, contest.cores.load, rate, seconds, connections)
    return _paced(pace, 0.0)


def _paced(pace: Pace, cpu: float) -> Paced:
    return Paced(rate=pace.rate, p50=pace.p50, p99=pace.p99, late=pace.late, cpu=cpu)


def alone(port: int, contest: Contest, seconds: float) -> Alone:
    """The latency of one client's requests at a port, a proxy's or the origin's."""
    load = run_load(port, contest.cores.load, seconds, 1)
    if load.failed or load.refused or not load.requests:
        raise RuntimeError(f"{load.failed + load.refused} of {load.requests} requests failed")
    return Alone(p50=load.p50 * 1e3)


def crowd(contender: Contender, count: int = IDLE) -> Crowd:
    """What clients take of memory that asked once and stay connected."""
    process = contender.process
    before = process.resident_bytes()
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", contender.place.port), timeout=10)
            )
            client.sendall(SMALL)
            answer = b""
            while not answer.endswith(BODY):
                piece = client.recv(65536)
                if not piece:
                    raise RuntimeError(f"{contender.peer.name}: closed a client's connection")
                answer += piece
        time.sleep(_REST)
        return Crowd(before=before, after=process.resident_bytes(), count=count)


def allow_descriptors(count: int) -> None:
    """Let this process and those that it starts open so many files. Raises RuntimeError where
    the machine doesn't."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise RuntimeError(f"{count} open files are needed, and {hard} are allowed (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
