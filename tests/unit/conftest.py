"""What unit tests of whatever waits have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.paused_loop import PausedLoop


@pytest.fixture
def loop() -> Iterator[PausedLoop]:
    """An event loop whose clock stands still while anything can run."""
    loop = PausedLoop()
    yield loop
    loop.close()
