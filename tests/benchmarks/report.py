"""From what was measured to a table in Markdown and a record in JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

BASES: Final = ("plain aiohttp", "Envoy")
"""What the others are multiples of."""

# From this share of the load's core on, the load and not the proxy sets the pace.
FULL: Final = 0.95

# Below this share of both cores, something else on the machine took what they lack.
DISTURBED: Final = 0.85


@dataclass(frozen=True, slots=True)
class Sample:
    """One proxy in one round.

    rps: requests a second. p50, p99: latency in milliseconds. cpu: microseconds of the
    proxy's CPU time for each request. rss: resident bytes at the end of the round. used:
    share of its core that the proxy used, 0 to 1. busy: share of the load's core that load
    and origin used.
    """

    rps: float
    p50: float
    p99: float
    cpu: float
    rss: float
    used: float
    busy: float

    @property
    def paced_by_load(self) -> bool:
        """The load had no core left to ask for more."""
        return self.busy >= FULL

    @property
    def disturbed(self) -> bool:
        """Neither the proxy nor the load was at its limit."""
        return max(self.used, self.busy) < DISTURBED


def medians(samples: Sequence[Sample]) -> Sample:
    """Each figure's median over the rounds."""
    rows = [asdict(sample) for sample in samples]
    return Sample(**{name: median(row[name] for row in rows) for name in rows[0]})


def table(results: Mapping[str, Sequence[Sample]], bases: Sequence[str] = BASES) -> list[str]:
    """The Markdown table: a row for each proxy, quickest first, as multiples of `bases`."""
    figures = {name: medians(samples) for name, samples in results.items()}
    lines = [
        "| proxy | requests/s | p50 ms | p99 ms | CPU µs/request | RSS MiB |"
        + "".join(f" × {base} |" for base in bases),
        "| --- | ---: | ---: | ---: | ---: | ---: |" + " ---: |" * len(bases),
    ]
    for name in sorted(figures, key=lambda name: -figures[name].rps):
        figure = figures[name]
        mark = " *" if figure.paced_by_load else " †" if figure.disturbed else ""
        lines.append(
            f"| {name} | {figure.rps:,.0f}{mark} | {figure.p50:.2f} | {figure.p99:.2f} "
            f"| {figure.cpu:.1f} | {figure.rss / 2**20:.0f} |"
            + "".join(f" {_ratio(figures, name, base)} |" for base in bases)
        )
    return lines


def remarks(results: Mapping[str, Sequence[Sample]], notes: Mapping[str, str]) -> Iterable[str]:
    """What a reader has to know to read the table rightly."""
    yield "Medians over the rounds; × compares requests a second, and CPU time in brackets."
    figures = [medians(samples) for samples in results.values()]
    if any(figure.paced_by_load for figure in figures):
        yield "* The load's core was full: this proxy could have answered more. Compare CPU time."
    if any(figure.disturbed for figure in figures):
        yield "† Other work took part of the cores: repeat on a quiet machine."
    for name, note in notes.items():
        if note and name in results:
            yield f"{name}: {note}."


def record(results: Mapping[str, Sequence[Sample]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was measured, for `--save`."""
    return {
        **facts,
        "medians": {name: asdict(medians(samples)) for name, samples in results.items()},
        "rounds": {name: [asdict(s) for s in samples] for name, samples in results.items()},
    }


def _ratio(figures: Mapping[str, Sample], name: str, base: str) -> str:
    """Requests a second as a multiple of the base's; in brackets the same by CPU time."""
    if base not in figures:
        return "–"
    one, other = figures[name], figures[base]
    by_cpu = f" ({other.cpu / one.cpu:.2f})" if one.cpu else ""
    return f"{one.rps / other.rps:.2f}{by_cpu}"
