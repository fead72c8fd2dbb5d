"""What is remembered of how fast an endpoint answers."""

from __future__ import annotations

import pytest

from proxy.upstream.member import Latency


def test_what_is_worse_is_believed_at_once_and_what_is_better_by_and_by() -> None:
    latency = Latency(100.0)
    assert latency.read(100.0) == 0.0
    latency.observe(100.0, 0.1)
    assert latency.read(100.0) == 0.1
    latency.observe(101.0, 0.5)
    assert latency.read(101.0) == 0.5
    latency.observe(102.0, 0.1)
    assert 0.4 < latency.read(102.0) < 0.5
    for second in range(103, 200):
        latency.observe(float(second), 0.1)
    assert latency.read(199.0) == pytest.approx(0.1, rel=0.01)


def test_an_endpoint_that_nobody_asks_gets_another_chance() -> None:
    latency = Latency(100.0)
    latency.observe(100.0, 5.0)
    assert latency.read(160.0) < 0.05


def test_an_endpoint_that_fails_at_once_does_not_look_fast() -> None:
    latency = Latency(100.0)
    latency.failed(100.0, 0.001)
    assert latency.read(100.0) == 1.0
