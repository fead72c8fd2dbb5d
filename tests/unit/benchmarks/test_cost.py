"""Rows of costs."""

from __future__ import annotations

from tests.benchmarks.cost import Cost, cpu_microseconds, table


def test_rows_are_markdown() -> None:
    rows = [Cost("metrics", 1.234)]
    assert table("telemetry", rows) == [
        "| telemetry | CPU µs |",
        "| --- | ---: |",
        "| metrics | 1.23 |",
    ]


def test_work_takes_time() -> None:
    nothing = min(cpu_microseconds(lambda: None) for _ in range(3))
    something = cpu_microseconds(lambda: list(range(1_000_000)).sort())
    assert 0 <= nothing < something
