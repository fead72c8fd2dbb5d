"""The benchmark of telemetry measures what it says."""

from __future__ import annotations

from tests.benchmarks.telemetry import Cost, costs, table


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


def test_rows_are_markdown() -> None:
    assert table([Cost("metrics", 1.234)])[-1] == "| metrics | 1.23 |"
