"""Where the workers of a team count, each in memory that the supervisor reads."""

from __future__ import annotations

from proxy.control.segments import Segments
from proxy.telemetry.ledger import SHARED_SIZE, SharedLedger


def open_ledger(segments: Segments, number: int, *, writer: bool = False) -> SharedLedger:
    """The ledger of a worker, in which its replacement counts on. writer: by that worker."""
    return SharedLedger(segments.open(f"metrics/{number}/1", SHARED_SIZE), writer=writer)
