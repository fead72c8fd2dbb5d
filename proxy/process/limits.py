"""Where a worker counts limits: in its own memory, or in memory that all workers share.

Must not live here: counting, or what is in Redis (`remotes`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.contract import Metrics
from proxy.control.segments import OwnSegments, Segments
from proxy.store.memory import Memory
from proxy.store.region import Region, size_of

# With the version of its layout, which an upgrade may change.
_SEGMENT: Final = "limits/1"


def open_memory(
    segments: Segments,
    number: int,
    workers: int,
    keys: int,
    metrics: Metrics,
    clock: Callable[[], float],
    wall: Callable[[], float],
    random: Callable[[int], bytes],
) -> Memory:
    """A store in memory. number: of this worker, of so many `workers`. keys: held at once. The
    rest is as in a policy's toolkit.

    Raises SegmentError when there is no memory to be had.
    """
    if isinstance(segments, OwnSegments):
        region = Region.private(random(16), keys)
    else:
        memory = segments.open(_SEGMENT, size_of(keys, workers))
        region = Region.shared(memory, keys, workers, worker=number, secret=random(16), wall=wall)
    lost = metrics.counter(
        "sidegate_rate_limit_keys_evicted_total",
        "Keys that the memory of limits forgot before their time, as there were too many.",
    )
    for table in (region.narrow, region.wide, region.flight):
        table.lost = lost.inc
    jammed = metrics.counter(
        "sidegate_rate_limit_locks_jammed_total",
        "Questions to the memory of limits that found it locked by a worker that stood still.",
    )
    return Memory(region, clock, wall, number, failed=jammed.inc)
