"""Where counts are kept: rows of cells by metric and labels, in this process or shared.

May live here: finding and adding rows. Must not live here: what any of them means. A row,
once opened, is written without further look-ups, so shared memory costs the hot path some
20 ns a cell and nothing else: no lock, no message, no copy. What a process that was killed
had counted stays in the memory, and the process that follows it counts on.

A shared ledger fills a piece of shared memory. One process writes it; others may read at
any time. Names are appended before the length that tells of them, so that a reader never
sees half a name, whenever the writer ends. A worker counts in the ledger of its place, and
whoever answers a scrape reads those of all places:

    memory = segments.open(f"metrics/{number}/1", SHARED_SIZE)
    Metrics(..., ledger=SharedLedger(memory, writer=True))           # a worker
    Metrics(..., others=[SharedLedger(memory) for memory in all])    # the supervisor

A worker calls `Metrics.collect` each second; the supervisor calls `forget_levels` with the
memory of a worker that ended and isn't replaced at once.

Its layout:

    bytes 0 to 64       magic, end of names, end of cells
    names               length and JSON of each: a family, or a row of one
    cells               doubles
"""

from __future__ import annotations

import json
from math import nan
from mmap import mmap
from struct import Struct
from threading import Lock
from typing import Any, Final, Protocol, cast

from proxy.cells import Row
from proxy.telemetry.catalogue import Family

Key = tuple[Family, tuple[str, ...]]

_MAGIC: Final = b"SIDEGATE"
_NOTHING: Final = bytes(len(_MAGIC))
_HEADER: Final = 64
# Places in the header, in numbers of eight bytes, each stored at once.
_NAMES_END: Final = 1
_CELLS_END: Final = 2
# Sparse: pages that nobody wrote take no memory. Labels are bounded far below these.
_NAMES_SIZE: Final = 64 * 1024 * 1024
_CELLS_SIZE: Final = 64 * 1024 * 1024
SHARED_SIZE: Final = _HEADER + _NAMES_SIZE + _CELLS_SIZE
"""Bytes of the memory of a shared ledger."""
_CELLS_AT: Final = (_HEADER + _NAMES_SIZE) // 8
_LENGTH: Final = Struct("<I")


class Ledger(Protocol):
    """What rows are opened in, and read from."""

    def open(self, family: Family, labels: tuple[str, ...], size: int = 0) -> Row:
        """The row of a series, made of zeros at first. size: cells, if not the family's own."""
        ...

    def rows(self) -> list[tuple[Key, Row]]:
        """All rows of this moment."""
        ...


class PrivateLedger:
    """Rows that no other process sees."""

    def __init__(self) -> None:
        self._rows: dict[Key, Row] = {}

    def open(self, family: Family, labels: tuple[str, ...], size: int = 0) -> Row:
        """The row of a series."""
        key = (family, labels)
        row = self._rows.get(key)
        if row is None:
            # Integers, for as long as integers are added, since that costs less.
            row = self._rows[key] = [0] * (size or family.size)
        return row

    def rows(self) -> list[tuple[Key, Row]]:
        """All rows; they go on being written, and more of them opened by another thread."""
        return list(self._rows.copy().items())


class SharedLedger:
    """A ledger in shared memory of `SHARED_SIZE` bytes, zeros when it is new.

    writer: this process counts in it, on top of what one before it has counted; what was
    true of that process alone is forgotten. Raises ValueError for memory of another use.
    Rows are opened by one thread, and may be read by several: scrapes come at the same time.
    """

    def __init__(self, memory: mmap, *, writer: bool = False) -> None:
        if len(memory) != SHARED_SIZE or memory[: len(_MAGIC)] not in (_MAGIC, _NOTHING):
            raise ValueError("this memory is no ledger")
        self._memory = memory
        view = memoryview(memory)
        self._header = view[:_HEADER].cast("Q")
        self._cells = view.cast("d")
        self._reading = Lock()
        self._read = 0
        self._families: dict[str, Family] = {}
        self._rows: dict[Key, Row] = {}
        if writer:
            memory[: len(_MAGIC)] = _MAGIC
            forget_levels(self)
        self._learn()

    def open(self, family: Family, labels: tuple[str, ...], size: int = 0) -> Row:
        """The row of a series. One for which there is no room counts for nobody."""
        size = size or family.size
        row = self._rows.get((family, labels))
        if row is not None and len(row) == size:
            return row
        try:
            return self._add(family, labels, size)
        except MemoryError:
            # A request that was answered must not fail for being counted.
            return [0.0] * size

    def _add(self, family: Family, labels: tuple[str, ...], size: int) -> Row:
        if self._families.get(family.name) != family:
            self._append([*family])
        start = self._header[_CELLS_END]
        if (_CELLS_AT + start + size) * 8 > SHARED_SIZE:
            raise MemoryError
        # Counted first: cells that no name tells of are lost, never shared by two.
        self._header[_CELLS_END] = start + size
        self._append([family.name, labels, start, size])
        return self._rows[family, labels]

    def rows(self) -> list[tuple[Key, Row]]:
        """All rows; they go on being written."""
        with self._reading:
            self._learn()
            return list(self._rows.items())

    def _append(self, entry: list[Any]) -> None:
        data = json.dumps(entry).encode()
        end = self._header[_NAMES_END]
        at = _HEADER + end
        if end + _LENGTH.size + len(data) > _NAMES_SIZE:
            raise MemoryError
        _LENGTH.pack_into(self._memory, at, len(data))
        self._memory[at + _LENGTH.size : at + _LENGTH.size + len(data)] = data
        self._header[_NAMES_END] = end + _LENGTH.size + len(data)
        with self._reading:
            self._learn()

    def _learn(self) -> None:
        """Read the names that were added since."""
        end = self._header[_NAMES_END]
        while self._read < end:
            at = _HEADER + self._read
            length = _LENGTH.unpack_from(self._memory, at)[0]
            at += _LENGTH.size
            self._note(json.loads(self._memory[at : at + length]))
            self._read += _LENGTH.size + length

    def _note(self, entry: list[Any]) -> None:
        if isinstance(entry[1], str):
            name, kind, text, labels, bounds, merge = entry
            self._families[name] = Family(name, kind, text, tuple(labels), tuple(bounds), merge)
        else:
            name, labels, start, size = entry
            first = _CELLS_AT + start
            row = cast("Row", self._cells[first : first + size])
            self._rows[self._families[name], tuple(labels)] = row


def forget_levels(ledger: Ledger) -> None:
    """What was true at a moment (gauges) is true no more: the process that wrote it ended."""
    for (family, _), row in ledger.rows():
        if family.kind in ("gauge", "info"):
            row[0] = nan
