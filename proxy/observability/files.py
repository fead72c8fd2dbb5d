"""The files of `sidegate observability`: rules for Prometheus, a dashboard for Grafana, and the
list of metrics for people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from proxy.observability.alerts import make_alerts
from proxy.observability.dashboard import make_dashboard
from proxy.observability.recording import RECORDINGS
from proxy.telemetry.catalogue import FAMILIES, Family
from proxy.telemetry.features import FEATURES

_MADE = "# Made by `sidegate observability`.\n"


def make_files(objective: float = 99.9, latency: float = 1.0) -> dict[str, str]:
    """Contents by name. objective: percent of requests that must not fail. latency: seconds
    that 95 % of a route's requests must stay under."""
    recordings = {"name": "sidegate", "rules": [one.rule() for one in RECORDINGS]}
    alerts = make_alerts(objective, latency)
    alarm = {"name": "sidegate-alerts", "rules": [one.rule() for one in alerts]}
    return {
        "recording-rules.yaml": _MADE + _yaml({"groups": [recordings]}),
        "alert-rules.yaml": _MADE + _yaml({"groups": [alarm]}),
        "dashboard.json": json.dumps(make_dashboard(), indent=2) + "\n",
        "METRICS.md": metrics_markdown(),
    }


def write_files(folder: Path, files: dict[str, str]) -> list[Path]:
    """Write them into a folder, which is made if need be. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, content in files.items():
        path = folder / name
        path.write_text(content, encoding="utf-8")
        paths.append(path)
    return paths


def metrics_markdown() -> str:
    """All metrics that are promised, as a table."""
    lines = [
        "# Metrics",
        "",
        "Made by `sidegate observability`. A feature's metrics are there once it is used; those of",
        "the process and of Python are prometheus-client's.",
        "",
    ]
    lines += ["| metric | kind | labels | what it tells |", "|-|-|-|-|"]
    lines += [_row(family) for family in _by_name((*FAMILIES, *FEATURES))]
    return "\n".join(lines) + "\n"


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.sample}` | {family.kind} | {labels} | {family.documentation} |"


def _by_name(families: Iterable[Family]) -> list[Family]:
    return sorted(families, key=lambda family: family.name)


def _yaml(data: Any) -> str:
    text: str = yaml.safe_dump(data, sort_keys=False, width=10_000, allow_unicode=True)
    return text
