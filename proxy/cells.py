"""Plain cells that count on the hot path and are read when somebody scrapes.

One increment costs an item store; locks and label look-ups are left to the reader. Cells
are written by one event loop only. Where they live is not their concern: in a list, or in
memory that other processes read too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from math import nan
from typing import Final, Protocol

# The buckets of OpenTelemetry's HTTP metrics, in seconds.
DURATION_BUCKETS: Final[tuple[float, ...]] = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip


class Row(Protocol):
    """Numbers in a row, of a fixed length: a list, or a view of shared memory."""

    def __getitem__(self, index: int, /) -> float:
        """One of them; negative indices count from the end."""
        ...

    def __setitem__(self, index: int, value: float, /) -> None:
        """Replace one of them."""
        ...

    def __len__(self) -> int:
        """How many there are."""
        ...


class Histogram:
    """Counts of observations by upper bound, and their sum.

    bounds: ascending upper bounds, without infinity. cells: one count a bucket, not
    cumulative, then one for everything above, then the sum.
    """

    __slots__ = ("bounds", "cells")

    def __init__(
        self, bounds: tuple[float, ...] = DURATION_BUCKETS, cells: Row | None = None
    ) -> None:
        self.bounds = bounds
        self.cells: Row = [0.0] * (len(bounds) + 2) if cells is None else cells

    @property
    def counts(self) -> tuple[float, ...]:
        """A copy of the counts, without the sum."""
        cells = self.cells
        return tuple(cells[place] for place in range(len(cells) - 1))

    @property
    def total(self) -> float:
        """The sum of all observations."""
        return self.cells[-1]

    def observe(self, value: float) -> None:
        """Count one observation."""
        cells = self.cells
        cells[bisect_left(self.bounds, value)] += 1
        cells[-1] += value


class Count:
    """A monotonic count. cells: the one cell that holds it."""

    __slots__ = ("cells",)

    def __init__(self, cells: Row | None = None) -> None:
        self.cells: Row = [0.0] if cells is None else cells

    @property
    def value(self) -> float:
        """The count so far."""
        return self.cells[0]

    def inc(self, amount: float = 1.0) -> None:
        """Add to the count. Raises ValueError for a negative amount."""
        if amount < 0:
            raise ValueError("a count can't go down")
        self.cells[0] += amount


class Level:
    """A value that goes up and down; NaN while there is none to tell."""

    __slots__ = ("cells",)

    def __init__(self, cells: Row | None = None) -> None:
        self.cells: Row = [nan] if cells is None else cells

    @property
    def value(self) -> float:
        """The present value."""
        return self.cells[0]

    def set(self, value: float) -> None:
        """Replace the value."""
        self.cells[0] = value

    def clear(self) -> None:
        """There is nothing to tell any more: the series ends."""
        self.cells[0] = nan


class Tally:
    """Counts by key, of a bounded number of keys; further ones share `other`.

    open_: where the count of a key is kept.
    """

    __slots__ = ("_limit", "_open", "_other", "_rows")

    def __init__(
        self, limit: int, other: tuple[str, ...], open_: Callable[[tuple[str, ...]], Row]
    ) -> None:
        self._limit = limit
        self._other = other
        self._open = open_
        self._rows: dict[tuple[str, ...], Row] = {}

    def row(self, key: tuple[str, ...]) -> Row:
        """Where this key's count is."""
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= self._limit:
                key = self._other
            row = self._rows.get(key) or self._open(key)
            self._rows[key] = row
        return row


class Traffic:
    """Counts of a worker's client connections, read by the metrics."""

    __slots__ = ("accepted", "closed", "in_flight", "open")

    def __init__(self) -> None:
        self.open = 0
        self.accepted = 0
        self.in_flight = 0
        self.closed: dict[str, int] = {}
