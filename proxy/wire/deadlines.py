"""Timeouts of all connections by one sweep.

A timer for each request costs about a microsecond; an attribute costs nothing. So each
connection holds a `deadline`, and a sweep every `INTERVAL` seconds asks who is late. No
clock is read here but the one handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from math import inf
from typing import Final, Protocol

INTERVAL: Final = 0.1
NEVER: Final = inf


class Expiring(Protocol):
    """Something with a deadline in monotonic seconds, `NEVER` for none."""

    deadline: float

    def expire(self, now: float) -> None:
        """The deadline has passed; set another or end."""
        ...


class Deadlines:
    """All connections of a worker that may be late."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._members: dict[Expiring, None] = {}

    def add(self, member: Expiring) -> None:
        """Watch a connection."""
        self._members[member] = None

    def discard(self, member: Expiring) -> None:
        """Stop watching it; unknown ones are fine."""
        self._members.pop(member, None)

    def sweep(self) -> None:
        """Expire all that are late by now.

        An exception of one is raised when all have had their turn; that one isn't asked again.
        """
        now = self._clock()
        failure: Exception | None = None
        for member in [member for member in self._members if member.deadline <= now]:
            # One that expires may end another, or give it more time.
            if member in self._members and member.deadline <= now:
                try:
                    # What one says of its request is not the next one's.
                    copy_context().run(member.expire, now)
                except Exception as error:
                    member.deadline = NEVER
                    failure = error
        if failure is not None:
            raise failure

    def __len__(self) -> int:
        return len(self._members)
