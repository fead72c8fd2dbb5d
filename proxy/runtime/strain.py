"""Measures how busy the process is: how late its timers come, and how much memory it has.

Costs nothing between two ticks; a tick reads one small file now and then.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from proxy.contract import Strain

# A late timer counts at once, and is forgotten over some ticks.
_FORGET: Final = 0.3
_STATM: Final = Path("/proc/self/statm")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
# Ticks between two looks at the memory.
_LOOK: Final = 5


class StrainMeter:
    """Keeps a `Strain` up to date. interval: seconds from one tick to the next."""

    def __init__(self, strain: Strain, interval: float) -> None:
        self._strain = strain
        self._interval = interval
        self._last = 0.0
        self._ticks = 0

    def tick(self, now: float) -> float:
        """A timer came, at this monotonic second. Returns by how many seconds late."""
        late = max(0.0, now - self._last - self._interval) if self._last else 0.0
        self._last = now
        strain = self._strain
        strain.lag = late if late > strain.lag else strain.lag + _FORGET * (late - strain.lag)
        if self._ticks % _LOOK == 0:
            strain.memory = resident()
        self._ticks += 1
        return late


def resident() -> int:
    """Bytes of this process that are in memory; 0 where the system doesn't tell."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
