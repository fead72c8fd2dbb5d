"""Rounds as the tests want them: of figures that nobody measured."""

from __future__ import annotations

from tests.benchmarks.figures import Alone, Crowd, Paced, Sample
from tests.benchmarks.goals import ORIGIN
from tests.benchmarks.record import Record

MIB = 2**20


def sample(rps: float, *, cpu: float = 50.0, used: float = 1.0, busy: float = 0.5) -> Sample:
    """A round with the figures that a test is about."""
    return Sample(
        rps=rps, p50=1.0, p99=2.0, cpu=cpu, system=cpu / 2, rss=10 * MIB, used=used, busy=busy
    )


def paced(p99: float) -> Paced:
    """A round at half load."""
    return Paced(rate=5_000, p50=1.0, p99=p99, late=0.1, cpu=40.0)


def crowd(before: float, after: float) -> Crowd:
    """A round with idle clients, in MiB."""
    return Crowd(before=before * MIB, after=after * MIB, count=1024)


def a_record() -> Record:
    """Of a programme that measured a little of everything."""
    record = Record(
        facts={"cores": "2"}, versions={"Envoy": "1.36.2"}, notes={"Envoy": "one limit"}
    )
    record.taken = {"small": "on Monday", "half-load": "on Tuesday", "idle": "on Tuesday"}
    record.throughput["small GET"] = {
        "Sidegate": [sample(20_000, cpu=50)],
        "Envoy": [sample(16_000, cpu=61)],
        "nginx": [sample(40_000, cpu=20)],
    }
    record.paced = {"Sidegate": [paced(3.0)], "Envoy": [paced(2.0)]}
    record.alone = {"Sidegate": [Alone(150)], "Envoy": [Alone(130)], ORIGIN: [Alone(50)]}
    record.crowd = {"Sidegate": [crowd(60, 100)], "Envoy": [crowd(70, 120)]}
    record.interpreters = {
        "Sidegate, Python 3.13.5 of Debian 13": [sample(22_000, cpu=45)],
        "Sidegate, Python 3.13.0": [sample(21_000, cpu=47)],
    }
    return record
