"""The benchmark of telemetry measures what it says."""

from __future__ import annotations

from tests.benchmarks.telemetry import costs


def test_every_part_has_a_row() -> None:
    rows = {row.what: row.microseconds for row in costs(requests=50, rounds=1)}
    assert list(rows) == [
        "metrics",
        "metrics, with several workers",
        "access line",
        "access line, 1 % of them",
        "traces, not sampled",
        "traces, sampled",
    ]
    assert rows["traces, sampled"] > rows["traces, not sampled"]
