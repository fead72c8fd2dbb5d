"""What was measured is kept whole."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.cost import Cost
from tests.benchmarks.record import Record
from tests.unit.benchmarks.rounds import a_record


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = a_record()
    record.costs["small GET: whose"] = [Cost("route", 0.5)]
    record.counts = {"small GET": {"allocations": 206.5}}
    record.write(tmp_path / "record.json")
    record.write(tmp_path / "record.json")
    assert Record.read(tmp_path / "record.json") == record
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
