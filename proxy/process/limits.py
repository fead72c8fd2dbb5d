"""The store of limits of a worker: its own memory, or memory that it shares with the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.contract import Metrics
from proxy.control.segments import OwnSegments, Segments
from proxy.store.memory import Memory
from proxy.store.region import KEYS, Region, size_of

# With the version of its layout, which an upgrade may change.
_SEGMENT: Final = "limits/1"


def open_memory(
    segments: Segments,
    number: int,
    workers: int,
    metrics: Metrics,
    clock: Callable[[], float],
    wall: Callable[[], float],
    random: Callable[[int], bytes],
) -> Memory:
    """A store in memory. number: of this worker, of so many `workers`. The rest is as in a
    policy's toolkit.

    Raises SegmentError when there is no memory to be had.
    """
    if isinstance(segments, OwnSegments):
        region = Region.private(random(16))
    else:
        memory = segments.open(_SEGMENT, size_of(KEYS, workers))
        region = Region.shared(memory, KEYS, workers, worker=number, secret=random(16), wall=wall)
    jammed = metrics.counter(
        "sidegate_rate_limit_locks_jammed_total",
        "Questions to the memory of limits that found it locked by a worker that stood still.",
    )
    return Memory(region, clock, wall, number, failed=jammed.inc)
