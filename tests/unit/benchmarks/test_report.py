"""The report says what was measured: goals first, ratios, and when not to trust them."""

from __future__ import annotations

import pytest

from tests.benchmarks.cost import Cost
from tests.benchmarks.figures import Sample
from tests.benchmarks.goals import LIMIT, verdicts
from tests.benchmarks.record import Record
from tests.benchmarks.report import costs, counts, goals, remarks, report, throughput
from tests.unit.benchmarks.rounds import a_record, sample


def test_least_cpu_time_comes_first_and_ratios_are_made_round_by_round() -> None:
    rows = throughput({
        "Envoy": [sample(16_000, cpu=60), sample(1_000, cpu=600)],
        "Sidegate": [sample(20_000, cpu=50), sample(2_000, cpu=400)],
        "plain aiohttp": [sample(5_000, cpu=150), sample(500, cpu=1500)],
    })  # fmt: skip
    assert rows[2:] == [
        "| Sidegate | 11,000 | 1.00 | 2.00 | 225.0 | 112.5 | 10 | – |",
        "| Envoy | 8,500 | 1.00 | 2.00 | 330.0 | 165.0 | 10 | 1.62 (1.35) |",
        "| plain aiohttp | 2,750 | 1.00 | 2.00 | 825.0 | 412.5 | 10 | 4.00 (3.38) |",
    ]


def test_without_sidegate_there_is_no_ratio() -> None:
    assert throughput({"Envoy": [sample(20_000)]})[2].endswith("| – |")


@pytest.mark.parametrize(
    ("figure", "mark", "remark"),
    [
        (sample(9, used=0.7, busy=0.97), "9 *", "The load's core was full"),
        (sample(9, used=0.6, busy=0.6), "9 †", "something else took its part"),
        (sample(9, used=0.99, busy=0.6), "9 |", ""),
    ],
    ids=["paced by the load", "disturbed", "at the proxy's limit"],
)
def test_doubtful_figures_are_marked(figure: Sample, mark: str, remark: str) -> None:
    rounds = {"nginx": [figure]}
    assert mark in throughput(rounds)[2]
    said = "\n".join(remarks(Record(throughput={"small GET": rounds})))
    assert remark in said
    assert ("*" in said or "†" in said) == bool(remark)


def test_each_goal_tells_what_was_measured_and_whether_it_is_reached() -> None:
    rows = goals(verdicts(a_record()))
    assert rows[2] == (
        "| small GET | **1.22** ✓ (≥ 1.2; first goal ≥ 0.9 ✓) | **0.40** ✗ missed (≥ 0.6) "
        "| not measured (≥ 4) |"
    )
    assert "| p99 at half of its own peak | **1.50** ✓ (≤ 1.5) | – | – |" in rows
    assert "| memory, 5,000 idle connections | **0.84** ✓ (≤ 1) | – | – |" in rows
    assert rows[-1] == "3 of 21 goals are reached, 2 are missed, 16 weren't measured."


@pytest.mark.parametrize(("cpu", "shown"), [(59.99, "**1.19** ✗ missed"), (60.0, "**1.20** ✓")])
def test_a_goal_that_is_nearly_reached_is_not_rounded_into_reach(cpu: float, shown: str) -> None:
    record = a_record()
    record.throughput["small GET"] = {"Sidegate": [sample(9)], "Envoy": [sample(1, cpu=cpu)]}
    assert shown in goals(verdicts(record))[2]


@pytest.mark.parametrize(("cpu", "shown"), [(44.9, "≥ 0.9 ✗)"), (45.0, "≥ 0.9 ✓)")])
def test_a_first_goal_may_be_reached_where_the_goal_is_missed(cpu: float, shown: str) -> None:
    record = a_record()
    record.throughput["small GET"] = {"Sidegate": [sample(9)], "Envoy": [sample(1, cpu=cpu)]}
    row = goals(verdicts(record))[2]
    assert "✗ missed (≥ 1.2; first goal" in row
    assert shown in row


def test_a_budget_is_kept_or_not() -> None:
    rows = costs(LIMIT, [Cost("one worker", 3.01), Cost("several workers", 4.0)])
    assert rows[2:] == [
        "| one worker | 3.01 | ≤ 3 ✗ missed |",
        "| several workers | 4.00 | – |",
    ]
    assert costs("another table", [Cost("one worker", 3.01)])[2] == "| one worker | 3.01 |"


def test_counts_are_a_row_for_each_workload() -> None:
    rows = counts({"small GET": {"instructions": 4912.4, "allocations": 206.0}})
    assert rows == [
        "| of one request | instructions | allocations |",
        "| --- | ---: | ---: |",
        "| small GET | 4,912 | 206 |",
    ]


def test_the_whole_tells_of_everything_that_was_measured_and_of_nothing_else() -> None:
    record = a_record()
    text = report(record, "plot.svg")
    assert "](plot.svg)" in text
    assert "cores: 2." in text
    assert "Versions: Envoy 1.36.2." in text
    for title in (
        "Goals",
        "Small GET",
        "At half of its own peak",
        "One connection",
        "Interpreters",
    ):
        assert f"\n## {title}\n" in text
    assert "| Sidegate | 150 | 100 |" in text
    assert "| Sidegate | 60.0 | 100.0 | 40.00 |" in text
    assert "Least CPU time takes Sidegate, Python 3.13.5 of Debian 13." in text
    assert "- Envoy: one limit." in text
    assert "- on Tuesday: half-load, idle." in text
    assert "Where a request's time goes" not in text
    record.costs["small GET: whose"] = [Cost("route", 0.5)]
    told = report(record)
    assert "takes 50.0 µs of CPU in place, 25.0 of them in the kernel" in told
    assert "| route | 0.50 |" in told
    assert "![" not in told
