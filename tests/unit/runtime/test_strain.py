"""How busy the process is, by a timer that comes late."""

from __future__ import annotations

import pytest

from proxy.contract import Strain
from proxy.runtime.strain import StrainMeter, resident


def test_lateness_counts_at_once_and_is_forgotten() -> None:
    strain = Strain()
    meter = StrainMeter(strain, 0.1)
    now = 1000.0
    for late in (0.0, 0.0, 0.5):
        now += 0.1 + late
        meter.tick(now)
    assert strain.lag == pytest.approx(0.5)
    for _ in range(20):
        now += 0.1
        assert meter.tick(now) == pytest.approx(0.0, abs=1e-6)
    assert strain.lag < 0.001


def test_a_timer_that_comes_early_is_not_late() -> None:
    strain = Strain()
    meter = StrainMeter(strain, 0.1)
    meter.tick(1000.0)
    assert meter.tick(1000.05) == 0.0


def test_memory_is_looked_at() -> None:
    strain = Strain()
    StrainMeter(strain, 0.1).tick(1000.0)
    assert strain.memory == pytest.approx(resident(), rel=0.1)
    assert strain.memory > 1024 * 1024
