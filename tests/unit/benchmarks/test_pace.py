"""The load's own pace."""

from __future__ import annotations

from array import array
from itertools import pairwise

import pytest

from tests.benchmarks.pace import due_times, percentile


def test_requests_fall_due_at_random_but_the_same_for_all() -> None:
    times = due_times(1_000.0, 2.0)
    assert times == due_times(1_000.0, 2.0)
    assert len(times) == pytest.approx(2_000, rel=0.1)
    assert list(times) == sorted(times)
    assert times[-1] < 2.0
    gaps = {round(later - one, 6) for one, later in pairwise(times)}
    assert len(gaps) > 1_000


def test_percentiles() -> None:
    values = array("d", (float(number) for number in range(100, 0, -1)))
    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    assert percentile(array("d"), 0.99) == 0
