"""What was measured, as Markdown: goals first, then every table. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.benchmarks.cost import Cost
from tests.benchmarks.figures import Crowd, Paced, Sample, medians
from tests.benchmarks.goals import (
    BASES,
    BUDGETS,
    ORIGIN,
    OWN,
    Verdict,
    added,
    cpu_ratio,
    rate_ratio,
    verdicts,
)
from tests.benchmarks.record import Record

MIB = 2**20


def report(record: Record, plot: str = "") -> str:
    """The whole of it. plot: the name of a picture beside it."""
    lines = ["# Sidegate beside other proxies", "", *_facts(record), ""]
    if plot:
        lines += [f"![What a core serves, and how fast]({plot})", ""]
    lines += ["## Goals", "", *goals(verdicts(record)), ""]
    for title, rounds in record.throughput.items():
        lines += [f"## {title[0].upper()}{title[1:]}", "", *throughput(rounds), ""]
    if record.paced:
        lines += ["## At half of its own peak", "", *paced(record.paced), ""]
    if record.alone:
        lines += ["## One connection", "", *alone(record), ""]
    if record.crowd:
        lines += ["## Idle connections", "", *crowd(record.crowd), ""]
    if record.interpreters:
        lines += ["## Interpreters", "", *interpreters(record.interpreters), ""]
    if record.costs or record.counts:
        lines += ["## Where a request's time goes", "", *_in_place(record)]
        for title, rows in record.costs.items():
            lines += [*costs(title, rows), ""]
        lines += [*counts(record.counts), ""] if record.counts else []
    lines += ["## To read this rightly", "", *(f"- {line}" for line in remarks(record))]
    return "\n".join(lines) + "\n"


def _facts(record: Record) -> Iterator[str]:
    if record.facts:
        yield "; ".join(f"{name}: {value}" for name, value in record.facts.items()) + "."
    if record.versions:
        told = (f"{name} {version}" for name, version in record.versions.items())
        yield "Versions: " + ", ".join(told) + "."


# -- goals -----------------------------------------------------------------------------------------


def goals(found: Sequence[Verdict]) -> list[str]:
    """A row for each subject and a column for each proxy to compare with; `✓` is reached."""
    lines = [
        "| |" + "".join(f" against {base} |" for base in BASES),
        "| --- |" + " --- |" * len(BASES),
    ]
    for subject in dict.fromkeys(verdict.goal.subject for verdict in found):
        cells = {v.goal.base: _verdict(v) for v in found if v.goal.subject == subject}
        lines.append(f"| {subject} |" + "".join(f" {cells.get(base, '–')} |" for base in BASES))
    measured = [verdict for verdict in found if verdict.ratio is not None]
    reached = sum(verdict.reached for verdict in measured)
    lines += ["", f"{reached} of {len(found)} goals are reached, {len(measured) - reached} are "
                  f"missed, {len(found) - len(measured)} weren't measured."]  # fmt: skip
    return lines


def _verdict(verdict: Verdict) -> str:
    sign, first = "≤" if verdict.at_most else "≥", verdict.goal.first
    goal = f"{sign} {verdict.goal.bound:g}"
    if verdict.ratio is None:
        return f"not measured ({goal})"
    if first is not None:
        goal += f"; first goal {sign} {first:g} {'✓' if verdict.within(first) else '✗'}"
    # Rounded against Sidegate, so that what is shown never reaches more than what was measured.
    shown = _ceiling(verdict.ratio) if verdict.at_most else -_ceiling(-verdict.ratio)
    return f"**{shown:.2f}** {'✓' if verdict.reached else '✗ missed'} ({goal})"


def _ceiling(value: float) -> float:
    return -(-value * 100 // 1) / 100


# -- tables ----------------------------------------------------------------------------------------


def throughput(rounds: Mapping[str, Sequence[Sample]]) -> list[str]:
    """A row for each proxy, least CPU time first, and how much more Sidegate serves."""
    figures = {name: medians(samples) for name, samples in rounds.items()}
    lines = [
        "| proxy | requests/s | p50 ms | p99 ms | CPU µs/request | in the kernel | RSS MiB "
        "| Sidegate × |",
        "| --- |" + " ---: |" * 7,
    ]
    for name in sorted(figures, key=lambda name: figures[name].cpu):
        figure = figures[name]
        mark = " *" if figure.paced_by_load else " †" if figure.disturbed else ""
        lines.append(
            f"| {name} | {figure.rps:,.0f}{mark} | {figure.p50:.2f} | {figure.p99:.2f} "
            f"| {figure.cpu:,.1f} | {figure.system:,.1f} | {figure.rss / MIB:.0f} "
            f"| {_compared(rounds, name)} |"
        )
    return lines


def _compared(rounds: Mapping[str, Sequence[Sample]], name: str) -> str:
    if OWN not in rounds or name == OWN:
        return "–"
    own, other = rounds[OWN], rounds[name]
    return f"{rate_ratio(own, other):.2f} ({cpu_ratio(own, other):.2f})"


def paced(rounds: Mapping[str, Sequence[Paced]]) -> list[str]:
    """Latencies at a rate that doesn't wait for answers, least p99 first."""
    figures = {name: medians(one) for name, one in rounds.items()}
    lines = [
        "| proxy | requests/s | p50 ms | p99 ms | of it the load's own | CPU µs/request |",
        "| --- |" + " ---: |" * 5,
    ]
    for name, figure in sorted(figures.items(), key=lambda item: item[1].p99):
        lines.append(
            f"| {name} | {figure.rate:,.0f} | {figure.p50:.2f} | {figure.p99:.2f} "
            f"| {figure.late:.2f} | {figure.cpu:.1f} |"
        )
    return lines


def alone(record: Record) -> list[str]:
    """What a proxy adds to the latency of one client, least first."""
    figures = {name: medians(rounds).p50 for name, rounds in record.alone.items()}
    lines = ["| proxy | p50 µs | added µs |", "| --- | ---: | ---: |"]
    for name in sorted(figures, key=lambda name: figures[name]):
        more = None if name == ORIGIN else added(record, name)
        told = "–" if more is None else f"{more:,.0f}"
        lines.append(f"| {name} | {figures[name]:,.0f} | {told} |")
    return lines


def crowd(rounds: Mapping[str, Sequence[Crowd]]) -> list[str]:
    """The memory of proxies with clients that only stay connected, least first."""
    figures = {name: medians(one) for name, one in rounds.items()}
    lines = [
        "| proxy | MiB before | MiB with them | KiB for each |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, figure in sorted(figures.items(), key=lambda item: item[1].after):
        lines.append(
            f"| {name} | {figure.before / MIB:.1f} | {figure.after / MIB:.1f} "
            f"| {figure.taken / figure.count / 1024:.2f} |"
        )
    return lines


def interpreters(rounds: Mapping[str, Sequence[Sample]]) -> list[str]:
    """Small GETs through Sidegate and the plain proxy, by the Python that runs them."""
    figures = {name: medians(samples) for name, samples in rounds.items()}
    ordered = sorted(figures.items(), key=lambda item: item[1].cpu)
    lines = ["| | requests/s | CPU µs/request | RSS MiB |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {one.rps:,.0f} | {one.cpu:.1f} | {one.rss / MIB:.0f} |"
        for name, one in ordered
    ]
    quickest = next((name for name, _ in ordered if name.startswith(OWN)), None)
    if quickest is not None:
        lines += ["", f"Least CPU time takes {quickest}."]
    return lines


# -- where the time goes -------------------------------------------------------------------------


def _in_place(record: Record) -> Iterator[str]:
    """What the tables of costs leave out: the kernel, and what calls cost more in place."""
    rounds = record.throughput.get("small GET", {})
    if OWN in rounds:
        figure = medians(rounds[OWN])
        yield (
            f"A small GET takes {figure.cpu:.1f} µs of CPU in place, {figure.system:.1f} of them "
            "in the kernel. The tables are of one process without the kernel and with warm caches; "
            "the event loop's own C and cold caches make the difference."
        )
        yield ""


def costs(title: str, rows: Sequence[Cost]) -> list[str]:
    """Rows of CPU time; where there is a budget, whether it is kept."""
    budgets = BUDGETS.get(title, {})
    lines = [
        f"| {title} | CPU µs |" + (" budget |" if budgets else ""),
        "| --- | ---: |" + (" --- |" if budgets else ""),
    ]
    for row in rows:
        budget = f" {_budget(row, budgets.get(row.what))} |" if budgets else ""
        lines.append(f"| {row.what} | {row.microseconds:.2f} |{budget}")
    return lines


def _budget(row: Cost, most: float | None) -> str:
    if most is None:
        return "–"
    return f"≤ {most:g} {'✓' if row.microseconds <= most else '✗ missed'}"


def counts(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What can be counted of a request: a row for each workload."""
    kinds = list(dict.fromkeys(kind for row in found.values() for kind in row))
    lines = [
        "| of one request |" + "".join(f" {kind} |" for kind in kinds),
        "| --- |" + " ---: |" * len(kinds),
    ]
    for name, row in found.items():
        cells = (f" {row[kind]:,.0f} |" if kind in row else " – |" for kind in kinds)
        lines.append(f"| {name} |" + "".join(cells))
    return lines


def remarks(record: Record) -> Iterator[str]:
    """What a reader has to know."""
    yield (
        "Figures are medians of rounds in which all proxies took turns. Ratios are made round by "
        "round: by requests a second, and in brackets by CPU time; a goal is held to the lower of "
        "them. `Sidegate ×`: how much more Sidegate serves."
    )
    figures = [medians(one) for by in record.throughput.values() for one in by.values()]
    if any(figure.paced_by_load for figure in figures):
        yield "\\* The load's core was full: this proxy could have answered more. Compare CPU time."
    if any(figure.disturbed for figure in figures):
        yield "† Neither the proxy's core nor the load's was full: something else took its part."
    for name, note in record.notes.items():
        yield f"{name}: {note}."
    sections: dict[str, list[str]] = {}
    for section, how in record.taken.items():
        sections.setdefault(how, []).append(section)
    for how, names in sections.items():
        yield f"{how}: {', '.join(names)}."
