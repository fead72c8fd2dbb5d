"""Cells that count on the hot path."""

from __future__ import annotations

import pytest

from proxy.cells import Count, Histogram, Tally


@pytest.mark.parametrize(
    ("value", "bucket"), [(0.0, 0), (0.99, 0), (1.0, 0), (1.01, 1), (5.0, 1), (6.0, 2), (-1.0, 0)]
)
def test_an_observation_belongs_to_the_first_bound_not_below_it(value: float, bucket: int) -> None:
    histogram = Histogram((1.0, 5.0))
    histogram.observe(value)
    assert histogram.counts == [int(place == bucket) for place in range(3)]
    assert histogram.total == value


def test_buckets_are_told_cumulatively() -> None:
    histogram = Histogram((0.5, 1.0))
    for value in (0.1, 0.7, 0.7, 9.0):
        histogram.observe(value)
    assert histogram.cumulative() == [("0.5", 1), ("1.0", 3), ("+Inf", 4)]


def test_histograms_add_up() -> None:
    mine, theirs = Histogram((1.0,)), Histogram((1.0,))
    mine.observe(0.5)
    theirs.observe(0.5)
    theirs.observe(2.0)
    mine.merge(theirs)
    assert (mine.counts, mine.total) == ([2, 1], 3.0)
    assert theirs.counts == [1, 1], "the other one stays as it was"


def test_histograms_of_other_bounds_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="different bounds"):
        Histogram((1.0,)).merge(Histogram((2.0,)))


def test_a_count_only_grows() -> None:
    count = Count()
    count.inc()
    count.inc(2.5)
    with pytest.raises(ValueError, match="can't go down"):
        count.inc(-1)
    assert count.value == 3.5


def test_a_tally_has_room_for_so_many_keys() -> None:
    tally = Tally(2, ("other", "other"))
    for first in "abacda":
        tally.count(first, "x")
    assert tally.counts == {("a", "x"): 3, ("b", "x"): 1, ("other", "other"): 2}
