"""The state of all counts at one moment, of one process or of several together.

May live here: what is exported, as values, and how the values of workers are merged. A row
is read while its owner writes it: a reader may see a count without its sum, which the next
scrape sets right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isnan

from proxy.telemetry.catalogue import DURATION, EXEMPLARS, FAMILIES, Family
from proxy.telemetry.ledger import Key, Ledger

Labels = tuple[str, ...]

# An exemplar takes five cells: a trace ID in four parts of 32 bits, and the value.
EXEMPLAR_CELLS = 5


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Cells by family and labels. exemplars: trace ID and value for each bucket, by route."""

    families: dict[Family, dict[Labels, list[float]]] = field(default_factory=dict)
    exemplars: dict[Labels, list[tuple[str, float] | None]] = field(default_factory=dict)


def gather(ledgers: Iterable[Ledger]) -> Snapshot:
    """What the ledgers tell together: counts are added, and nothing is counted twice.

    Sidegate's own families come first, in the order of the catalogue, also those that
    nothing was counted in yet.
    """
    sums: dict[Key, list[float]] = {}
    snapshot = Snapshot({family: {} for family in FAMILIES})
    for ledger in ledgers:
        for key, row in ledger.rows():
            cells = [row[place] for place in range(len(row))]
            family, labels = key
            if family.kind == "exemplars":
                known = snapshot.exemplars.get(labels)
                found = _exemplars(cells)
                snapshot.exemplars[labels] = (
                    found
                    if known is None
                    else [one or other for one, other in zip(known, found, strict=True)]
                )
            elif isnan(cells[0]):
                continue
            elif key in sums:
                _merge(family, sums[key], cells)
            else:
                sums[key] = cells
                snapshot.families.setdefault(family, {})[labels] = cells
    return snapshot


def _merge(family: Family, sums: list[float], cells: list[float]) -> None:
    for place, value in enumerate(cells):
        if family.merge == "sum":
            sums[place] += value
        else:
            sums[place] = (max if family.merge == "max" else min)(sums[place], value)


def write_exemplars(ledger: Ledger, route: str, latest: list[tuple[str, float] | None]) -> None:
    """Put the latest traces of a route where other processes can read them.

    latest: trace ID of 32 hex digits and value in seconds, for each bucket.
    """
    row = ledger.open(EXEMPLARS, (route,), (len(DURATION.bounds) + 1) * EXEMPLAR_CELLS)
    for bucket, exemplar in enumerate(latest):
        if exemplar is not None:
            trace_id, value = exemplar
            at = bucket * EXEMPLAR_CELLS
            for part in range(4):
                row[at + part] = int(trace_id[part * 8 : part * 8 + 8], 16)
            row[at + 4] = value


def _exemplars(cells: list[float]) -> list[tuple[str, float] | None]:
    found: list[tuple[str, float] | None] = []
    for at in range(0, len(cells), EXEMPLAR_CELLS):
        trace_id = "".join(f"{int(part):08x}" for part in cells[at : at + 4])
        found.append((trace_id, cells[at + 4]) if trace_id.strip("0") else None)
    return found
