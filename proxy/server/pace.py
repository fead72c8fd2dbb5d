"""Whether a body comes fast enough: without long pauses, and at a least rate as a whole. Pure;
monotonic seconds come in.

A sender that drips a byte now and then would otherwise hold its request, and a connection to
the service, for as long as it likes.
"""

from __future__ import annotations


class Pace:
    """The pace of one body. pause: seconds between two pieces, and before the rate counts.
    rate: bytes a second, 0 for none."""

    __slots__ = ("_begun", "_held", "_pause", "_rate")

    def __init__(self, now: float, pause: float, rate: int) -> None:
        self._begun = now
        self._pause = pause
        self._rate = rate
        self._held = 0.0

    def due(self, now: float, received: int) -> float:
        """The second by which more has to have come, with so many bytes here."""
        late = now + self._pause
        if self._rate:
            late = min(late, self._begun + self._pause + received / self._rate)
        return late

    def hold(self, now: float) -> None:
        """The sender is kept waiting: from now on time isn't counted."""
        self._held = now

    def go_on(self, now: float) -> None:
        """The sender may send again."""
        if self._held:
            self._begun += now - self._held
            self._held = 0.0
