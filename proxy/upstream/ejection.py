"""Whether what came of its requests holds an endpoint for broken: a pure state machine.

States: *serving*; *ejected* (it is not used until its time is over); *returned* (it is used
again, and the first failure ejects it once more, for longer). Monotonic seconds come in.
"""

from __future__ import annotations

from typing import Literal

State = Literal["serving", "ejected", "returned"]


class Ejection:
    """Counts failures in a row, and how long the endpoint has to stay away.

    base: seconds of the first ejection, which double with each one that follows. longest:
    the bound. Both may be changed. After `base` seconds without trouble one doubling is
    forgiven.
    """

    __slots__ = ("_calm", "_failed", "_level", "_row", "base", "count", "longest", "state", "until")

    def __init__(self, base: float, longest: float) -> None:
        self.base = base
        self.longest = longest
        self._row = 0
        self._level = 0
        self._calm = 0.0
        self._failed = self._serving_failed
        self.state: State = "serving"
        self.until = 0.0
        """When an ejection ends."""
        self.count = 0
        """Ejections so far."""

    @property
    def usable(self) -> bool:
        """It isn't ejected."""
        return self.state != "ejected"

    def succeeded(self, now: float) -> None:
        """A request went well."""
        self._row = 0
        if self.state == "returned":
            self.state = "serving"
            self._failed = self._serving_failed
        if self._level and now >= self._calm:
            self._level -= 1
            self._calm = now + self.base

    def failed(self, now: float, limit: int) -> bool:
        """A request failed. limit: failures in a row that are too many. True if it is to go."""
        return self._failed(now, limit)

    def eject(self, now: float) -> float:
        """Take it out of use. Returns for how many seconds."""
        seconds: float = min(self.longest, self.base * 2.0**self._level)
        self._level = min(self._level + 1, 32)
        self._row = 0
        self.state = "ejected"
        self._failed = self._ejected_failed
        self.until = now + seconds
        self._calm = self.until + self.base
        self.count += 1
        return seconds

    def release(self) -> None:
        """Its time is over: use it again, and watch it closely."""
        self.state = "returned"
        self._failed = self._returned_failed

    def _serving_failed(self, now: float, limit: int) -> bool:
        self._row += 1
        return self._row >= limit

    def _returned_failed(self, now: float, limit: int) -> bool:
        return True

    def _ejected_failed(self, now: float, limit: int) -> bool:
        # Requests that were on their way, or all endpoints are in need.
        return False
