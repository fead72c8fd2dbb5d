from __future__ import annotations

import time
from collections.abc import Callable

import pytest


def _seconds(work: Callable[[str], object], text: str) -> float:
    """The least CPU time of three runs."""
    times = []
    for _ in range(3):
        began = time.process_time()
        work(text)
        times.append(time.process_time() - began)
    return min(times)


@pytest.fixture
def linear() -> Callable[[Callable[[str], object], str], None]:
    """Asserts that work on a repeated unit takes time in proportion to its length.

    Eight times the text may take 24 times as long: what is quadratic takes 64 times.
    """

    def check(work: Callable[[str], object], unit: str) -> None:
        small, large = unit * (4000 // len(unit)), unit * (32_000 // len(unit))
        work(small)
        assert _seconds(work, large) < 24 * max(_seconds(work, small), 0.0005)

    return check
