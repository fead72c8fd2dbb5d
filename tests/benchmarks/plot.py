"""What was measured, as a picture: small charts of bars, one for each workload. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final, NamedTuple

from tests.benchmarks.figures import medians
from tests.benchmarks.goals import ALONE, CROWD, ORIGIN, OWN, P99, added
from tests.benchmarks.record import Record

COLUMNS: Final = 2
_WIDTH: Final = 460
_NAME: Final = 148
_VALUE: Final = 74
_ROW: Final = 20
_HEAD: Final = 46
_GAP: Final = 28

_STYLE: Final = """\
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.unit { fill: #6e7781 }
rect { fill: #b6bfc9 }
.own rect { fill: #1f6feb }
.own text { font-weight: 600 }
.page { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .unit { fill: #8d96a0 } rect { fill: #57606a } .page { fill: #0d1117 }
  .own rect { fill: #4493f8 }
}
"""


class Chart(NamedTuple):
    """bars: values by the names of proxies, best first."""

    title: str
    unit: str
    bars: Mapping[str, float]


def charts(record: Record) -> list[Chart]:
    """One for each thing that was measured of proxies."""
    made = []
    for title, rounds in record.throughput.items():
        served = {name: 1e6 / medians(samples).cpu for name, samples in rounds.items()}
        made.append(
            Chart(title, "requests for each second of CPU", _ordered(served, most_first=True))
        )
    for title, unit, figures in (
        (P99, "ms", {name: medians(rounds).p99 for name, rounds in record.paced.items()}),
        (ALONE, "µs", {n: added(record, n) or 0.0 for n in record.alone if n != ORIGIN}),
        (CROWD, "MiB in all",
         {name: medians(rounds).after / 2**20 for name, rounds in record.crowd.items()}),
    ):  # fmt: skip
        if figures:
            made.append(
                Chart(title, f"{unit}, less is better", _ordered(figures, most_first=False))
            )
    return made


def _ordered(figures: Mapping[str, float], *, most_first: bool) -> dict[str, float]:
    return dict(sorted(figures.items(), key=lambda item: item[1], reverse=most_first))


def draw(found: list[Chart]) -> str:
    """An SVG document."""
    tops = [0] * COLUMNS
    parts = []
    for chart in found:
        column = tops.index(min(tops))
        left = _GAP + column * (_WIDTH + _GAP)
        parts.append(f'<g transform="translate({left} {tops[column] + _GAP})">{_chart(chart)}</g>')
        tops[column] += _HEAD + _ROW * len(chart.bars) + _GAP
    width, height = _GAP + COLUMNS * (_WIDTH + _GAP), max(tops) + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">\n'
        f"<title>Sidegate beside other proxies</title>\n<style>\n{_STYLE}</style>\n"
        f'<rect class="page" width="{width}" height="{height}"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _chart(chart: Chart) -> str:
    most = max(chart.bars.values(), default=0.0) or 1.0
    room = _WIDTH - _NAME - _VALUE
    lines = [
        f'<text class="title" y="12">{escape(chart.title)}</text>',
        f'<text class="unit" y="29">{escape(chart.unit)}</text>',
    ]
    for number, (name, value) in enumerate(chart.bars.items()):
        top = _HEAD - 8 + number * _ROW
        length = max(value, 0.0) / most * room
        lines.append(
            f'<g class="{"own" if name == OWN else "peer"}">'
            f'<text x="{_NAME - 8}" y="{top + 12}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_NAME}" y="{top}" width="{length:.1f}" height="{_ROW - 4}" rx="2"/>'
            f'<text x="{_NAME + length + 6:.1f}" y="{top + 12}">{_told(value)}</text></g>'
        )
    return "\n".join(lines)


def _told(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
