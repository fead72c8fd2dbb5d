"""What limits cost, in rows; the whole proxies are left to whoever runs the benchmark."""

from __future__ import annotations

import pytest

from tests.benchmarks.limits import Sample, costs, room, table


def test_a_limit_costs_more_with_more_to_do() -> None:
    rows = {row.what: row.microseconds for row in costs(calls=1000)}
    assert 0 < rows["one worker, nothing told to clients"] < rows["one worker, two limits"]


def test_keys_take_the_memory_that_they_were_reckoned_to() -> None:
    space = room(keys=100_000)
    assert space.bytes == pytest.approx(52, abs=6)
    assert space.evicted <= 100


def test_ratios_are_of_rounds_that_were_side_by_side() -> None:
    results = {
        "in memory": [Sample(100.0, 50.0, 1.0), Sample(10.0, 500.0, 9.0)],
        "Redis": [Sample(50.0, 100.0, 2.0), Sample(5.0, 1000.0, 18.0)],
    }
    assert table(results)[2:] == [
        "| in memory | 55 | 275.0 | 5.0 | 1.00 |",
        "| Redis | 28 | 550.0 | 10.0 | 0.50 |",
    ]
