"""The chart as Helm renders it.

`python -m tests.integration.chart` writes the golden files anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import helm_python as helm
import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "helm" / "sidegate"
GOLDEN: Final = ROOT / "tests" / "golden" / "chart"
CASES: Final = sorted(path.stem for path in (CHART / "ci").glob("*.yaml"))

Manifest = dict[str, Any]


def values_of(case: str) -> dict[str, Any]:
    """The values of a case of the chart's."""
    values: dict[str, Any] = yaml.safe_load((CHART / "ci" / f"{case}.yaml").read_text())
    return values


def rendered(values: dict[str, Any], chart: Path = CHART) -> dict[str, str]:
    """What Helm makes of values, by template."""
    with helm.Chart.load(str(chart)) as loaded:
        texts: dict[str, str] = loaded.render(values, name="web", namespace="shop")
    return {name: text for name, text in sorted(texts.items()) if text.strip()}


def manifests(values: dict[str, Any], chart: Path = CHART) -> list[Manifest]:
    """What Kubernetes is given."""
    return [
        document
        for name, text in rendered(values, chart).items()
        if name.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]


def of_kind(kind: str, values: dict[str, Any], chart: Path = CHART) -> Manifest:
    """The only manifest of a kind, or the first ConfigMap that is a configuration."""
    found = [each for each in manifests(values, chart) if each["kind"] == kind]
    if kind == "ConfigMap":
        found = [each for each in found if "sidegate.yaml" in each["data"]]
    if kind == "Service":
        found = [each for each in found if not each["metadata"]["name"].endswith("-admin")]
    assert len(found) == 1, [each["metadata"]["name"] for each in found]
    return found[0]


def golden(case: str) -> str:
    """All of a case as one text, without what are copies of files."""
    return "".join(
        f"# {name}\n{text.strip()}\n---\n"
        for name, text in rendered(values_of(case)).items()
        if not name.endswith(("dashboard.yaml", "rules.yaml"))
    )


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in CASES:
        (GOLDEN / f"{name}.yaml").write_text(golden(name), encoding="utf-8")
