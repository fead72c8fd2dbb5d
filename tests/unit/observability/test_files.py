"""What `sidegate observability` writes. Whether Prometheus takes it is in tests/integration."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from proxy.observability.alerts import make_alerts
from proxy.observability.dashboard import make_dashboard
from proxy.observability.files import make_files, write_files
from proxy.observability.panels import ROWS
from proxy.observability.recording import RECORDINGS
from proxy.telemetry.catalogue import FAMILIES
from proxy.telemetry.features import FEATURES

SOURCES: Final = "\n".join(
    path.read_text("utf-8") for path in (Path(__file__).parents[3] / "proxy").rglob("*.py")
    if path.name not in ("features.py",)
)  # fmt: skip
ALERTS: Final = make_alerts(99.9, 1.0)
NAMES: Final = re.compile(r"\b(?:sidegate_[a-z0-9_]+|sidegate:[a-z0-9_:]+)")


def known() -> set[str]:
    """Every series that there is."""
    names = {recording.name for recording in RECORDINGS}
    for family in (*FAMILIES, *FEATURES):
        names.add(family.sample)
        if family.kind == "histogram":
            names |= {family.name + suffix for suffix in ("_bucket", "_count", "_sum")}
    return names


# As they are written in the sources; a part in braces is a name of letters. One is a cookie's.
OPENED: Final = {
    re.compile(re.sub(r"\{\w+\}", "[a-z_]+", name))
    for name in re.findall(r'f?"(sidegate_[a-z0-9_{}]+)"', SOURCES)
    if name != "sidegate_seat"
}


@pytest.mark.parametrize("family", FEATURES, ids=lambda family: family.name)
def test_what_a_feature_promises_it_opens(family: Any) -> None:
    assert any(name.fullmatch(family.sample) for name in OPENED)


@pytest.mark.parametrize("name", sorted(OPENED, key=str), ids=lambda name: name.pattern)
def test_what_a_feature_opens_is_in_the_list(name: re.Pattern[str]) -> None:
    promised = [family for each in (*FAMILIES, *FEATURES) for family in (each.name, each.sample)]
    assert any(map(name.fullmatch, promised)), "add it to telemetry/features"


def test_nothing_is_named_that_is_not_there() -> None:
    files = make_files()
    for name in ("recording-rules.yaml", "alert-rules.yaml", "dashboard.json"):
        named = set(NAMES.findall(files[name]))
        assert named, name
        assert named <= known(), name


@pytest.mark.parametrize(
    "document",
    ["README.md", "CHANGELOG.md", "THREAT_MODEL.md", "config/LIMITS.md", "config/OBSERVABILITY.md",
     "config/POLICIES.md", "config/SETTINGS.md", "helm/sidegate/README.md",
     "helm/sidegate/values.yaml"],
)  # fmt: skip
def test_no_document_names_what_is_not_there(document: str) -> None:
    text = (Path(__file__).parents[3] / document).read_text("utf-8")
    named = {name for name in NAMES.findall(text) if name.startswith("sidegate_")}
    assert named - {"sidegate_seat"} <= known()


def test_rules_are_as_prometheus_reads_them() -> None:
    files = make_files(objective=99.0, latency=0.5)
    [recordings] = yaml.safe_load(files["recording-rules.yaml"])["groups"]
    assert {rule["record"] for rule in recordings["rules"]} == {one.name for one in RECORDINGS}
    [alerts] = yaml.safe_load(files["alert-rules.yaml"])["groups"]
    rules = {rule["alert"]: rule for rule in alerts["rules"]}
    assert "> 0.144 " in rules["SidegateErrorBudgetBurn1h"]["expr"], "14.4 times 1 %"
    assert "> 0.5 " in rules["SidegateSlow"]["expr"]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_says_what_to_do(alert: Any) -> None:
    assert alert.severity in ("page", "ticket")
    assert re.fullmatch(r"\d+m", alert.wait)
    assert re.match("[A-Z{5]", alert.description)
    assert alert.description.endswith(".")
    labels = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
    assert all(re.search(rf"\b{label}\b", kept_labels(alert.expression)) for label in labels)


def kept_labels(expression: str) -> str:
    """Where the labels of an alert's series are named: in it, or in the rules it is made of."""
    rules = [one.expression for one in RECORDINGS if one.name in expression]
    families = [
        " ".join((*family.labels, "job", "instance"))
        for family in (*FAMILIES, *FEATURES)
        if family.sample in expression
    ]
    return " ".join([expression, *rules, *families])


def test_every_alert_has_a_name_of_its_own() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)


def test_panels_stand_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    identifiers = set()
    for panel in make_dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        identifiers.add(panel["id"])
    assert len(identifiers) == len(make_dashboard()["panels"])


def test_every_panel_asks_something_and_says_what() -> None:
    for row in ROWS:
        for panel in row.panels:
            assert panel.questions, panel.title
            assert panel.description.endswith("."), panel.title
            for question in panel.questions:
                assert '{job=~"$job",instance=~"$instance"' in question.expression.replace(
                    'state="in_use",', ""
                ).replace('code=~"5..",', ""), panel.title


def test_the_list_of_metrics_is_what_the_command_makes() -> None:
    file = Path(__file__).parents[3] / "config" / "METRICS.md"
    assert file.read_text("utf-8") == make_files()["METRICS.md"], (
        "run: sidegate observability --out DIR, and copy METRICS.md"
    )


def test_files_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    paths = write_files(folder, make_files())
    assert sorted(path.name for path in paths) == [
        "METRICS.md", "alert-rules.yaml", "dashboard.json", "recording-rules.yaml",
    ]  # fmt: skip
    assert json.loads((folder / "dashboard.json").read_text("utf-8"))["uid"] == "sidegate"
    text = (folder / "METRICS.md").read_text("utf-8")
    assert all(f"`{family.sample}`" in text for family in (*FAMILIES, *FEATURES))
