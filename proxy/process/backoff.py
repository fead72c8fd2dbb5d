"""How long to wait before a process that ended is started again. Pure."""

from __future__ import annotations

from typing import Final

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""Who has lived so long begins with a clean record."""


class Backoff:
    """The record of one place: no wait after the first end, then twice as long each time."""

    def __init__(self) -> None:
        self._ends = 0

    def after(self, lived: float) -> float:
        """Seconds to wait, now that it has ended after so many."""
        if lived >= STEADY_SECONDS:
            self._ends = 0
        self._ends += 1
        if self._ends == 1:
            return 0.0
        # Bounded before it is a number that no float holds.
        return min(FIRST_SECONDS * 2.0 ** min(self._ends - 2, 10), LONGEST_SECONDS)
