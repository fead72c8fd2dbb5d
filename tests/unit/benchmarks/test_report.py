"""The table says what was measured: medians, ratios, and when not to trust them."""

from __future__ import annotations

import pytest

from tests.benchmarks.load import read_counts
from tests.benchmarks.report import Sample, medians, record, remarks, table


def sample(rps: float, *, cpu: float = 50.0, used: float = 1.0, busy: float = 0.5) -> Sample:
    """A round with the figures that a test is about."""
    return Sample(rps=rps, p50=1.0, p99=2.0, cpu=cpu, rss=10 * 2**20, used=used, busy=busy)


def test_one_bad_round_does_not_move_the_figures() -> None:
    rounds = [sample(100, cpu=40), sample(1, cpu=900), sample(110, cpu=42)]
    assert medians(rounds).rps == 100
    assert medians(rounds).cpu == 42


def test_ratios_are_by_requests_and_in_brackets_by_cpu_time() -> None:
    rows = table({
        "plain aiohttp": [sample(5_000, cpu=150)],
        "Sidegate": [sample(20_000, cpu=50)],
        "Envoy": [sample(16_000, cpu=60)],
    })  # fmt: skip
    assert rows[2:] == [
        "| Sidegate | 20,000 | 1.00 | 2.00 | 50.0 | 10 | 4.00 (3.00) | 1.25 (1.20) |",
        "| Envoy | 16,000 | 1.00 | 2.00 | 60.0 | 10 | 3.20 (2.50) | 1.00 (1.00) |",
        "| plain aiohttp | 5,000 | 1.00 | 2.00 | 150.0 | 10 | 1.00 (1.00) | 0.31 (0.40) |",
    ]


def test_without_a_base_there_is_no_ratio() -> None:
    assert table({"Sidegate": [sample(20_000)]})[2].endswith("| – | – |")


@pytest.mark.parametrize(
    ("figure", "mark", "remark"),
    [
        (sample(9, used=0.7, busy=0.97), "9 *", "The load's core was full"),
        (sample(9, used=0.6, busy=0.6), "9 †", "Other work took part"),
        (sample(9, used=0.99, busy=0.6), "9 |", ""),
    ],
    ids=["paced by the load", "disturbed", "at the proxy's limit"],
)
def test_doubtful_figures_are_marked(figure: Sample, mark: str, remark: str) -> None:
    assert mark in table({"nginx": [figure]})[2]
    said = "\n".join(remarks({"nginx": [figure]}, {}))
    assert remark in said
    assert ("*" in said or "†" in said) == bool(remark)


def test_only_what_was_measured_is_remarked_on() -> None:
    said = list(remarks({"Envoy": [sample(1)]}, {"Envoy": "one limit", "Caddy": "no limit"}))
    assert said[1:] == ["Envoy: one limit."]


def test_a_record_keeps_every_round() -> None:
    written = record({"Envoy": [sample(1), sample(3)]}, {"python": "3.11"})
    assert written["python"] == "3.11"
    assert [one["rps"] for one in written["rounds"]["Envoy"]] == [1, 3]
    assert written["medians"]["Envoy"]["rps"] == 2


def test_the_counts_of_the_load_are_read_exactly() -> None:
    output = (
        "Running 2s test\n"
        'COUNTED {"requests": 300, "microseconds": 2000000, "p50": 1500, "p99": 9000, "failed": 1}'
    )
    load = read_counts(output, "", 0.5)
    assert (load.requests, load.seconds, load.p50, load.p99, load.failed) == (300, 2.0, 1.5, 9.0, 1)


def test_a_load_that_counted_nothing_says_why() -> None:
    with pytest.raises(RuntimeError, match="unable to connect"):
        read_counts("", "unable to connect to 127.0.0.1", 0.0)
