"""What parts of a request cost: rows of CPU time in this process, and how they are measured.

The figures are of one interpreter without a network, so they are steadier than those of whole
proxies; in place, calls cost up to half more.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Cost(NamedTuple):
    """A row: what is on, and the CPU time that it adds to a request."""

    what: str
    microseconds: float


def table(title: str, rows: Sequence[Cost]) -> list[str]:
    """The rows in Markdown."""
    lines = [f"| {title} | CPU µs |", "| --- | ---: |"]
    return lines + [f"| {row.what} | {row.microseconds:.2f} |" for row in rows]


def cpu_microseconds(work: Callable[[], None]) -> float:
    """Microseconds of CPU of all threads, with the collector at rest."""
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        work()
        return (time.process_time() - began) * 1e6
    finally:
        gc.enable()
