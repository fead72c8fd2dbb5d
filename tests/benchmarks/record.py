"""All that a run of the benchmark measured, as it is kept in a file. Pure but for the file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.cost import Cost
from tests.benchmarks.figures import Alone, Crowd, Paced, Sample


@dataclass(slots=True)
class Record:
    """Rounds by the names of proxies, and what has to be known to read them.

    facts: of the machine, by their names. taken: when and how each section of the programme was
    measured, by its name. versions, notes: of proxies. throughput: by titles of workloads.
    paced: at half of each proxy's own peak; alone: over one connection; crowd: with idle clients.
    interpreters: throughput of small GETs. costs: tables of CPU time in this process, by their
    titles. counts: what a request takes of what can be counted, by workload.
    """

    facts: dict[str, str] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    throughput: dict[str, Mapping[str, Sequence[Sample]]] = field(default_factory=dict)
    paced: Mapping[str, Sequence[Paced]] = field(default_factory=dict)
    alone: Mapping[str, Sequence[Alone]] = field(default_factory=dict)
    crowd: Mapping[str, Sequence[Crowd]] = field(default_factory=dict)
    interpreters: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    costs: dict[str, Sequence[Cost]] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Keep it in a file of JSON, which is never half written."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        new.replace(path)

    @classmethod
    def read(cls, path: Path) -> Record:
        """What `write` kept."""
        kept = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            facts=kept["facts"],
            taken=kept["taken"],
            versions=kept["versions"],
            notes=kept["notes"],
            throughput={title: _each(Sample, by) for title, by in kept["throughput"].items()},
            paced=_each(Paced, kept["paced"]),
            alone=_each(Alone, kept["alone"]),
            crowd=_each(Crowd, kept["crowd"]),
            interpreters=_each(Sample, kept["interpreters"]),
            costs={title: [Cost(*row) for row in rows] for title, rows in kept["costs"].items()},
            counts=kept["counts"],
        )


def _each(kind: Any, rounds: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, list[Any]]:
    return {name: [kind(**one) for one in rows] for name, rows in rounds.items()}
