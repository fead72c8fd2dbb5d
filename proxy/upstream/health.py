"""Whether active checks hold an endpoint for healthy: a pure state machine.

States: *unchecked* (no result yet; it is used), *healthy*, *unhealthy* (it is not used).
"""

from __future__ import annotations

from typing import Literal

State = Literal["unchecked", "healthy", "unhealthy"]


class Health:
    """Turns results of checks into a state.

    rise: good results in a row that make an unhealthy endpoint healthy. fall: bad ones that
    make a healthy one unhealthy. Both may be changed. The first result of all decides alone.
    """

    __slots__ = ("_row", "_turn", "cause", "fall", "rise", "state")

    def __init__(self, rise: int, fall: int) -> None:
        self.rise = rise
        self.fall = fall
        self._row = 0
        self._turn = self._unchecked
        self.state: State = "unchecked"
        self.cause = ""
        """Why the last bad check was bad."""

    @property
    def usable(self) -> bool:
        """Nothing speaks against it."""
        return self.state != "unhealthy"

    def result(self, cause: str) -> bool:
        """A check ended. cause: why it was bad, empty when good. Whether the state changed."""
        self.cause = cause or self.cause
        before = self.state
        self._turn(not cause)
        return self.state != before

    def _unchecked(self, good: bool) -> None:
        self._become("healthy" if good else "unhealthy")

    def _healthy(self, good: bool) -> None:
        self._row = 0 if good else self._row + 1
        if self._row >= self.fall:
            self._become("unhealthy")

    def _unhealthy(self, good: bool) -> None:
        self._row = self._row + 1 if good else 0
        if self._row >= self.rise:
            self._become("healthy")

    def _become(self, state: State) -> None:
        self._row = 0
        self.state = state
        self._turn = self._healthy if state == "healthy" else self._unhealthy
