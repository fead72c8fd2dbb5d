"""The picture shows what was measured."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.benchmarks.plot import Chart, charts, draw
from tests.benchmarks.record import Record
from tests.unit.benchmarks.rounds import a_record

SVG = "{http://www.w3.org/2000/svg}"


def test_there_is_a_chart_for_each_thing_that_was_measured_best_first() -> None:
    found = {chart.title: chart for chart in charts(a_record())}
    assert list(found) == [
        "small GET",
        "p99 at half of its own peak",
        "added latency, 1 connection",
        "memory, 5,000 idle connections",
    ]
    assert list(found["small GET"].bars.items())[:2] == [("nginx", 50_000), ("Sidegate", 20_000)]
    assert found["added latency, 1 connection"].bars == {"Envoy": 80, "Sidegate": 100}
    assert charts(Record()) == []


def test_bars_are_as_long_as_their_values() -> None:
    drawn = ElementTree.fromstring(draw([Chart("a < b", "ms", {"Sidegate": 50.0, "Envoy": 25.0})]))
    bars = {
        group.findall(f"{SVG}text")[0].text: float(group.find(f"{SVG}rect").get("width", "0"))  # type: ignore[union-attr]
        for group in drawn.iter(f"{SVG}g")
        if group.find(f"{SVG}rect") is not None
    }
    assert bars["Sidegate"] == 2 * bars["Envoy"] > 0
    own = [group for group in drawn.iter(f"{SVG}g") if group.get("class") == "own"]
    assert [group.findall(f"{SVG}text")[0].text for group in own] == ["Sidegate"]
    assert "a < b" in "".join(drawn.itertext())


def test_charts_stand_below_each_other() -> None:
    one = ElementTree.fromstring(draw([Chart("one", "ms", {"Envoy": 1.0})]))
    three = ElementTree.fromstring(draw([Chart(n, "ms", {"Envoy": 0.0}) for n in ("a", "b", "c")]))
    assert float(three.get("height", "0")) > float(one.get("height", "0"))
    assert three.get("width") == one.get("width")
