"""Figures of rounds become one figure."""

from __future__ import annotations

from tests.benchmarks.figures import medians
from tests.unit.benchmarks.rounds import crowd, paced, sample


def test_one_bad_round_does_not_move_the_figures() -> None:
    rounds = [sample(100, cpu=40), sample(1, cpu=900), sample(110, cpu=42)]
    assert (medians(rounds).rps, medians(rounds).cpu) == (100, 42)


def test_each_kind_has_medians_of_its_own() -> None:
    assert medians([paced(1), paced(5), paced(2)]).p99 == 2
    assert medians([crowd(10, 20), crowd(10, 40), crowd(10, 30)]).taken == 20 * 2**20


def test_a_figure_tells_what_it_is_of() -> None:
    assert str(sample(1_000)).split() == [
        "1,000", "requests/s", "p99", "2.00", "ms", "CPU", "50.0", "µs/request",
    ]  # fmt: skip
    assert "p99    7.00 ms" in str(paced(7))
    assert str(crowd(1, 2)).strip() == "2.0 MiB, 1.00 KiB a client"
