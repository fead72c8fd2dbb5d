"""How many requests may be sent once more: a share of the traffic, so that retries can't bring
down what is already failing. Pure; monotonic seconds come in."""

from __future__ import annotations

from typing import Final

WINDOW: Final = 10
"""Seconds of traffic that the share is taken of."""


class Budget:
    """Counts requests and retries by second, and says whether another retry fits.

    share: of the requests of the last ten seconds. least: retries a second that are allowed
    whatever the traffic.
    """

    __slots__ = ("_asked", "_least", "_retried", "_second", "_share", "refused")

    def __init__(self, share: float, least: float) -> None:
        self._share = share
        self._least = least
        self._asked = [0] * WINDOW
        self._retried = [0] * WINDOW
        self._second = 0
        self.refused = 0

    def request(self, now: float) -> None:
        """A request came, which adds to the budget."""
        self._turn(now)
        self._asked[self._second % WINDOW] += 1

    def take(self, now: float) -> bool:
        """Whether one more retry fits; if so it is counted."""
        if self.left(now) < 1.0:
            self.refused += 1
            return False
        self._retried[self._second % WINDOW] += 1
        return True

    def left(self, now: float) -> float:
        """Retries that fit now."""
        self._turn(now)
        allowed = self._share * sum(self._asked) + self._least * WINDOW
        return allowed - sum(self._retried)

    def _turn(self, now: float) -> None:
        """Forget the seconds that have passed out of the window."""
        second = int(now)
        if second <= self._second:
            return
        for passed in range(max(self._second, second - WINDOW) + 1, second + 1):
            self._asked[passed % WINDOW] = self._retried[passed % WINDOW] = 0
        self._second = second
