"""How long requests lately took, as a quantile: counts in buckets that forget. Pure."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

# Half a millisecond to a minute and a half, each bucket a sixth wider than the last.
_BOUNDS: Final = tuple(0.0005 * 1.165**power for power in range(80))
_MEMORY: Final = 1024
_LEAST: Final = 20


class Quantile:
    """A quantile of the last thousand or so observations, to within a sixth.

    part: 0.95 for the duration that 95 of 100 stay under.
    """

    __slots__ = ("_counts", "_part", "_total", "value")

    def __init__(self, part: float) -> None:
        self._part = part
        self._counts = [0.0] * (len(_BOUNDS) + 1)
        self._total = 0.0
        self.value = 0.0
        """Seconds; 0.0 until there were 20 observations."""

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(_BOUNDS, seconds)] += 1.0
        self._total += 1.0
        if self._total >= _MEMORY:
            self._counts = [count / 2.0 for count in self._counts]
            self._total /= 2.0
        # A look costs as much as ten observations; the value needn't follow each.
        if self._total < 64 or int(self._total) % 16 == 0:
            self._look()

    def _look(self) -> None:
        if self._total < _LEAST:
            return
        wanted = self._part * self._total
        for place, count in enumerate(self._counts):
            wanted -= count
            if wanted <= 0:
                self.value = _BOUNDS[min(place, len(_BOUNDS) - 1)]
                return
