"""An event loop whose clock stands still while anything can run, and never waits.

When nothing can run, time jumps to the next timer, so a test of a timeout of an hour takes
no time and comes out the same each time. It opens no sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jump:
    """Stands where a loop waits for sockets."""

    def __init__(self, loop: PausedLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise AssertionError("everything waits for something that can't happen any more")
        self._loop.now += timeout
        return []


class PausedLoop(asyncio.BaseEventLoop):
    """now: its clock in seconds; it only moves when nothing else can."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self._selector = _Jump(self)

    def time(self) -> float:
        return self.now

    def _process_events(self, event_list: list[Any]) -> None:
        return None

    def _write_to_self(self) -> None:
        return None

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        """Run a story to its end."""
        return self.run_until_complete(story)


async def settle() -> None:
    """Let everything run that can, without letting time pass."""
    for _ in range(20):
        await asyncio.sleep(0)
