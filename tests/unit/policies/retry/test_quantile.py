"""The quantile follows what is observed, within a sixth."""

from __future__ import annotations

import pytest

from proxy.policies.retry.quantile import Quantile


def test_nothing_is_said_of_a_few() -> None:
    quantile = Quantile(0.95)
    for _ in range(19):
        quantile.observe(1.0)
    assert quantile.value == 0.0
    quantile.observe(1.0)
    assert quantile.value == pytest.approx(1.0, rel=0.17)


def test_it_tells_what_95_of_100_stay_under() -> None:
    quantile = Quantile(0.95)
    for number in range(1, 1001):
        quantile.observe(number / 1000)
    assert quantile.value == pytest.approx(0.95, rel=0.17)


def test_it_forgets() -> None:
    quantile = Quantile(0.95)
    for _ in range(2000):
        quantile.observe(2.0)
    for _ in range(8000):
        quantile.observe(0.01)
    assert quantile.value == pytest.approx(0.01, rel=0.17)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_what_is_beyond_the_buckets_counts_in_the_last(seconds: float) -> None:
    quantile = Quantile(0.5)
    for _ in range(40):
        quantile.observe(seconds)
    assert 0.0 < quantile.value < 100.0
