"""A goal is held to the figure that says less for Sidegate."""

from __future__ import annotations

import pytest

from tests.benchmarks.figures import Alone, Sample
from tests.benchmarks.goals import (
    ALONE,
    CROWD,
    GOALS,
    ORIGIN,
    P99,
    added_ratio,
    throughput_ratio,
    verdicts,
)
from tests.benchmarks.record import Record
from tests.benchmarks.workload import WORKLOADS
from tests.unit.benchmarks.rounds import a_record, crowd, sample


@pytest.mark.parametrize(
    ("own", "other", "ratio"),
    [
        (sample(20_000, cpu=50), sample(10_000, cpu=75), 1.5),
        (sample(20_000, cpu=50), sample(16_000, cpu=100), 1.25),
        (sample(20_000, cpu=50, busy=0.99), sample(20_000, cpu=75), 1.5),
    ],
    ids=["less by CPU time", "less by requests", "the load was full, so that CPU time counts"],
)
def test_throughput_is_what_says_less(own: Sample, other: Sample, ratio: float) -> None:
    assert throughput_ratio([own], [other]) == ratio


def test_a_ratio_is_of_rounds_that_were_side_by_side() -> None:
    own = [sample(10, cpu=100), sample(20, cpu=50), sample(30, cpu=10)]
    other = [sample(5, cpu=200), sample(10, cpu=100), sample(1, cpu=999)]
    assert throughput_ratio(own, other) == 2


def test_latency_counts_above_the_origins_own() -> None:
    record = Record(alone={"Sidegate": [Alone(80)], "Envoy": [Alone(75)], ORIGIN: [Alone(50)]})
    assert added_ratio(record, "Envoy") == 1.2
    assert added_ratio(record, "nginx") is None


@pytest.mark.parametrize(
    ("own", "ratio"), [(crowd(40, 100), 1.2), (crowd(110, 120), 1.0)], ids=["added", "in all"]
)
def test_memory_is_what_says_less(own: object, ratio: float) -> None:
    record = Record(crowd={"Sidegate": [own], "Envoy": [crowd(70, 120)]})  # type: ignore[list-item]
    (verdict,) = (one for one in verdicts(record) if one.goal.subject == CROWD)
    assert verdict.ratio == ratio
    assert verdict.reached == (ratio <= 1)


def test_what_was_not_measured_is_not_reached() -> None:
    assert not any(verdict.reached for verdict in verdicts(Record()))
    assert {verdict.ratio for verdict in verdicts(Record())} == {None}
    measured = {one.goal[:2] for one in verdicts(a_record()) if one.ratio is not None}
    assert ("small GET", "nginx") in measured
    assert ("small GET", "plain aiohttp") not in measured


def test_every_goal_is_measured() -> None:
    titles = {workload.title for some in WORKLOADS.values() for workload in some}
    assert {goal.subject for goal in GOALS} <= titles | {P99, ALONE, CROWD}
