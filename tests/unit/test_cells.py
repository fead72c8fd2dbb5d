"""Cells that count on the hot path."""

from __future__ import annotations

from math import isnan

import pytest

from proxy.cells import Count, Histogram, Level, Row, Tally


@pytest.mark.parametrize(
    ("value", "bucket"), [(0.0, 0), (0.99, 0), (1.0, 0), (1.01, 1), (5.0, 1), (6.0, 2), (-1.0, 0)]
)
def test_an_observation_belongs_to_the_first_bound_not_below_it(value: float, bucket: int) -> None:
    histogram = Histogram((1.0, 5.0))
    histogram.observe(value)
    assert histogram.counts == tuple(int(place == bucket) for place in range(3))
    assert histogram.total == value


def test_a_count_only_grows() -> None:
    count = Count()
    count.inc()
    count.inc(2.5)
    with pytest.raises(ValueError, match="can't go down"):
        count.inc(-1)
    assert count.value == 3.5


def test_a_level_is_what_it_was_set_to_until_it_is_cleared() -> None:
    level = Level()
    assert isnan(level.value)
    level.set(7)
    level.set(3)
    assert level.value == 3
    level.clear()
    assert isnan(level.value)


def test_cells_may_live_in_shared_memory() -> None:
    memory = memoryview(bytearray(8 * 4)).cast("d")
    histogram, count = Histogram((1.0,), memory[:3]), Count(memory[3:])
    histogram.observe(0.5)
    histogram.observe(2.0)
    count.inc(2)
    assert memory.tolist() == [1, 1, 2.5, 2]
    assert (histogram.counts, histogram.total, count.value) == ((1, 1), 2.5, 2)


def test_a_tally_has_room_for_so_many_keys() -> None:
    rows: dict[tuple[str, ...], Row] = {}
    tally = Tally(2, ("other", "other"), lambda key: rows.setdefault(key, [0.0]))
    for first in "abacda":
        tally.row((first, "x"))[0] += 1
    counts = {key: row[0] for key, row in rows.items()}
    assert counts == {("a", "x"): 3, ("b", "x"): 1, ("other", "other"): 2}
