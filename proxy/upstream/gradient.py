"""How many requests a service takes at once before they begin to wait there: a limit that
follows what is measured. Pure; monotonic seconds come in.

The time of the latest answers is compared with what is usual while nobody waits. As long as
it is usual the limit grows by half the square root of itself, which leaves the service a
short queue; when answers take longer it shrinks in proportion (the gradient algorithm of Netflix's
concurrency-limits). What is usual can't be seen under load, so that now and then the limit is
lowered for a moment to measure it (as in Envoy's adaptive concurrency).
"""

from __future__ import annotations

from math import sqrt
from typing import Final

# One round of measuring: at least so many answers, and so many seconds.
_ROUND_ANSWERS: Final = 20
_PROBE_ANSWERS: Final = 8
_ROUND_SECONDS: Final = 0.1
# From one measurement of what is usual to the next, and how many times as long as it took.
_PROBE_EVERY: Final = 30.0
_PROBE_SHARE: Final = 20.0
_FIRST_PROBE: Final = 2.0
# How quickly what is usual follows what is faster, or what is seen without load.
_FOLLOW: Final = 0.2
# Of a limit that isn't used half nothing can be learned.
_USED: Final = 0.5
_SMOOTH: Final = 0.3
_HEADROOM: Final = 0.5
_STEEPEST: Final = 0.5
_FAILED: Final = 0.9


class Gradient:
    """The limit. start: of the first moment. least, most: its bounds. tolerance: how many times
    the usual is still usual."""

    __slots__ = (
        "_answers", "_begun", "_draining", "_failed", "_least", "_most", "_probe_at",
        "_probe_begun", "_probing", "_seconds", "_tolerance", "_used", "_value", "usual",
    )  # fmt: skip

    def __init__(self, start: int, least: int, most: int, tolerance: float) -> None:
        self._least = least
        self._most = most
        self._tolerance = tolerance
        self._value = float(start)
        self.usual = 0.0
        """Seconds that an answer usually takes; 0.0 before anything is known."""
        self._begun = 0.0
        self._answers = self._failed = self._used = 0
        self._seconds = 0.0
        # Rounds until the present measurement is over. Those under way when it begins don't count,
        # nor do those that were let in while they were: they waited behind them.
        self._probing = 0
        self._draining = 0
        self._probe_begun = self._probe_at = 0.0

    @property
    def limit(self) -> int:
        """Requests that may be under way at once."""
        return self._least if self._probing else int(self._value)

    @property
    def settled(self) -> int:
        """The limit but for the measurement that may be going on."""
        return int(self._value)

    def answered(self, now: float, seconds: float, under_way: int) -> None:
        """A request was answered. under_way: how many were, this one included."""
        self._answers += 1
        self._seconds += seconds
        self._used = max(self._used, under_way)
        self._turn(now)

    def failed(self, now: float, under_way: int) -> None:
        """A request had no answer in time."""
        self._failed += 1
        self._used = max(self._used, under_way)
        self._turn(now)

    def _turn(self, now: float) -> None:
        if not self._begun:
            # What is seen first may be seen under load already.
            self._begun = now
            self._probe_at = now + _FIRST_PROBE
        wanted = max(_PROBE_ANSWERS, self._draining) if self._probing else _ROUND_ANSWERS
        if self._answers + self._failed >= wanted and now - self._begun >= _ROUND_SECONDS:
            if self._probing:
                self._measure(now)
            else:
                self._learn(now)
            self._clear(now)

    def _measure(self, now: float) -> None:
        """A round with the least limit is over."""
        self._probing -= 1
        self._draining = 0
        if self._probing:
            return
        if self._answers:
            self.usual = self._seconds / self._answers
        self._probe_at = now + max(_PROBE_EVERY, _PROBE_SHARE * (now - self._probe_begun))

    def _learn(self, now: float) -> None:
        if self._failed * 10 > self._answers + self._failed or not self._answers:
            self._set(self._value * _FAILED)
            return
        mean = self._seconds / self._answers
        if not self.usual:
            self.usual = mean
        if mean < self.usual or self._used <= self._least:
            self.usual += _FOLLOW * (mean - self.usual)
        elif now >= self._probe_at:
            self._probing = 2
            self._draining = self._used
            self._probe_begun = now
            return
        gradient = max(_STEEPEST, min(1.0, self._tolerance * self.usual / mean))
        if gradient >= 1.0 and self._used < _USED * self._value:
            return
        wanted = self._value * gradient + _HEADROOM * sqrt(self._value)
        self._set(self._value + _SMOOTH * (wanted - self._value))

    def _set(self, value: float) -> None:
        self._value = min(float(self._most), max(float(self._least), value))

    def _clear(self, now: float) -> None:
        self._begun = now
        self._answers = self._failed = self._used = 0
        self._seconds = 0.0
