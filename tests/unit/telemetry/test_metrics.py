"""Counters of policies, and what the exposition says, read back by Prometheus' own parsers."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from proxy.telemetry.census import ServerView
from proxy.telemetry.metrics import Metrics
from tests.unit.telemetry.conftest import Lines
from tests.unit.telemetry.test_census import Pool, Server

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Samples = dict[str, float]
TRACE = "0af7651916cd43dd8448eb211c80319c"
# The library's OpenMetrics parser has no types.
parse_openmetrics: Callable[[str], Iterable[Metric]] = openmetrics.text_string_to_metric_families


@pytest.fixture
def metrics(lines: Lines, wall: Callable[[], float]) -> Metrics:
    server: ServerView = Server()
    pool = Pool()
    return Metrics("0.1.0", lines.sink, wall, lambda: [pool], server)


def scrape(metrics: Metrics, accept: str = "") -> Samples:
    """All samples, written as Prometheus would show them."""
    content_type, body = metrics.render(accept)
    parse = parse_openmetrics if "openmetrics" in content_type else parse_text
    samples: Samples = {}
    for family in parse(body.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in samples, "every series appears once"
            samples[key] = sample.value
    return samples


def test_requests_of_a_route(metrics: Metrics) -> None:
    cells = metrics.route("catalogue")
    for seconds in (0.003, 0.03, 20.0):
        cells.finished(200, "GET", seconds, 0.0002, 1000, 10, TRACE)
    cells.finished(0, "BREW", 0.03, 0.0002, 0, 10, "")
    samples = scrape(metrics)
    assert samples["sidegate_requests_total{code=200,method=GET,route=catalogue}"] == 3
    assert samples["sidegate_requests_total{code=0,method=_OTHER,route=catalogue}"] == 1
    name = "sidegate_request_duration_seconds"
    assert samples[f"{name}_bucket{{le=0.005,route=catalogue}}"] == 1
    assert samples[f"{name}_bucket{{le=0.05,route=catalogue}}"] == 3
    assert samples[f"{name}_bucket{{le=10.0,route=catalogue}}"] == 3
    assert samples[f"{name}_bucket{{le=+Inf,route=catalogue}}"] == 4
    assert samples[f"{name}_count{{route=catalogue}}"] == 4
    assert samples[f"{name}_sum{{route=catalogue}}"] == pytest.approx(20.063)
    name = "sidegate_request_overhead_seconds"
    assert samples[f"{name}_bucket{{le=0.0001,route=catalogue}}"] == 0
    assert samples[f"{name}_bucket{{le=0.00025,route=catalogue}}"] == 4
    assert samples["sidegate_request_bytes_total{route=catalogue}"] == 40
    assert samples["sidegate_response_bytes_total{route=catalogue}"] == 3000


def test_statuses_beyond_the_bound_are_one_label(metrics: Metrics) -> None:
    for status in range(200, 600):
        metrics.route("a").finished(status, "GET", 0.1, 0.1, 0, 0, "")
    assert scrape(metrics)["sidegate_requests_total{code=_OTHER,method=GET,route=a}"] == 144


def test_client_connections(metrics: Metrics) -> None:
    samples = scrape(metrics)
    assert samples["sidegate_requests_in_flight"] == 2
    assert samples["sidegate_connections{state=active}"] == 2
    assert samples["sidegate_connections{state=idle}"] == 3
    assert samples["sidegate_connections_accepted_total"] == 9
    assert samples["sidegate_connections_closed_total{reason=idle}"] == 4


def test_upstreams_and_pools(metrics: Metrics) -> None:
    metrics.upstream("app").observe(0.2)
    samples = scrape(metrics)
    assert samples["sidegate_upstream_duration_seconds_bucket{le=0.25,upstream=app}"] == 1
    place = "endpoint=http://a:80"
    pool = "sidegate_upstream_pool"
    assert samples[f"{pool}_connections{{{place},state=idle,upstream=app}}"] == 3
    assert samples[f"{pool}_connections{{{place},state=in_use,upstream=app}}"] == 2
    assert samples[f"{pool}_waiters{{{place},upstream=app}}"] == 1
    assert samples[f"{pool}_capacity{{{place},upstream=app}}"] == 96
    assert samples[f"{pool}_opened_total{{{place},upstream=app}}"] == 7
    assert samples[f"{pool}_closed_total{{{place},reason=idle,upstream=app}}"] == 1
    assert samples[f"{pool}_acquire_seconds_count{{{place},upstream=app}}"] == 0
    assert samples["sidegate_upstream_retries_total{reason=stale,upstream=app}"] == 1


def test_errors_refusals_and_reloads(metrics: Metrics) -> None:
    metrics.errors("rate_limited")[0] += 1
    metrics.errors("rate_limited")[0] += 1
    metrics.refusals("rate_limit", "rate_limited", "enforce")[0] += 1
    metrics.refusals("rate_limit", "rate_limited", "shadow")[0] += 1
    before = scrape(metrics)
    assert "sidegate_config_age_seconds" not in before, "nothing was loaded yet"
    metrics.reloaded(True, "abc123")
    metrics.reloaded(False)
    samples = scrape(metrics)
    assert samples["sidegate_errors_total{code=rate_limited}"] == 2
    refusals = "sidegate_refusals_total{code=rate_limited,mode="
    assert samples[f"{refusals}enforce,policy=rate_limit}}"] == 1
    assert samples[f"{refusals}shadow,policy=rate_limit}}"] == 1
    assert samples["sidegate_config_reloads_total{result=success}"] == 1
    assert samples["sidegate_config_reloads_total{result=failure}"] == 1
    assert samples["sidegate_config_info{digest=abc123}"] == 1
    assert samples["sidegate_config_age_seconds"] == 0


def test_the_age_of_the_configuration_follows_the_clock(lines: Lines) -> None:
    now = [1000.0]
    metrics = Metrics("0.1.0", lines.sink, lambda: now[0])
    metrics.reloaded(True, "a")
    now[0] += 60
    metrics.reloaded(False)
    assert scrape(metrics)["sidegate_config_age_seconds"] == 60


def test_error_codes_that_a_plug_in_makes_up_are_bounded(metrics: Metrics) -> None:
    for number in range(300):
        metrics.errors(f"code{number}")[0] += 1
    samples = scrape(metrics)
    assert samples["sidegate_errors_total{code=_OTHER}"] == 300 - 256


def test_the_process_tells_about_itself(metrics: Metrics) -> None:
    metrics.lag.observe(0.02)
    samples = scrape(metrics)
    version = platform.python_version()
    assert samples[f"sidegate_build_info{{python={version},version=0.1.0}}"] == 1
    assert samples["sidegate_log_dropped_total"] == 0
    assert samples["sidegate_event_loop_lag_seconds_bucket{le=0.025}"] == 1
    assert samples["process_resident_memory_bytes"] > 1_000_000
    assert "python_gc_collections_total{generation=2}" in samples


def test_lost_log_lines_are_a_metric(metrics: Metrics, lines: Lines) -> None:
    lines.sink.close(5.0)
    lines.sink.write(b"late\n")
    lines.sink.flush()
    assert scrape(metrics)["sidegate_log_dropped_total"] == 1


@pytest.mark.parametrize(
    ("accept", "told"),
    [
        ("", "text/plain; version=0.0.4"),
        ("text/html", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1.0.0,*/*;q=0.1", "application/openmetrics-text; v"),
        # Versions that are none, or that nothing here writes.
        ("application/openmetrics-text;version=abc", "text/plain; version=0.0.4"),
        ("text/plain; version=", "text/plain; version=0.0.4"),
        (
            "application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0",
            "application/openmetrics-text; version=1.0.0",
        ),
    ],
)
def test_scrapers_get_a_format_that_they_know(metrics: Metrics, accept: str, told: str) -> None:
    content_type, body = metrics.render(accept)
    assert content_type.startswith(told)
    assert body


def test_both_formats_tell_the_same(metrics: Metrics) -> None:
    metrics.route("a").finished(200, "GET", 0.03, 0.0002, 1, 1, TRACE)
    plain, _ = metrics.render("text/plain")
    open_type, body = metrics.render(OPENMETRICS)
    assert plain.startswith("text/plain; version=0.0.4")
    assert open_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    own = {name: value for name, value in scrape(metrics).items() if name.startswith("sidegate_")}
    assert own.items() <= scrape(metrics, OPENMETRICS).items()


def test_openmetrics_names_a_trace_for_each_bucket(metrics: Metrics) -> None:
    for seconds, trace_id in ((0.03, "1" * 32), (0.031, TRACE), (0.3, "")):
        metrics.route("a").finished(200, "GET", seconds, 0.0002, 1, 1, trace_id)
    for _ in range(2):
        _, body = metrics.render(OPENMETRICS)
        [family] = [
            family
            for family in parse_openmetrics(body.decode())
            if family.name == "sidegate_request_duration_seconds"
        ]
        named = {
            sample.labels["le"]: (sample.exemplar.labels, sample.exemplar.value)
            for sample in family.samples
            if sample.exemplar
        }
        assert named == {"0.05": ({"trace_id": TRACE}, 0.031)}, "also at the next scrape"


def test_hostile_label_values_are_escaped(metrics: Metrics) -> None:
    metrics.counter("sidegate_odd_total", 'A "help"\ntext.', label='a"b\\c\nd').inc()
    assert scrape(metrics)['sidegate_odd_total{label=a"b\\c\nd}'] == 1
    assert scrape(metrics, OPENMETRICS)['sidegate_odd_total{label=a"b\\c\nd}'] == 1


async def test_a_scrape_beside_the_loop_tells_the_same(metrics: Metrics) -> None:
    content_type, body = await metrics.expose(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert b"sidegate_requests_in_flight 2.0\n" in body


class TestCountersOfPolicies:
    def test_the_same_name_and_labels_are_the_same_counter(self, metrics: Metrics) -> None:
        metrics.counter("sidegate_hits_total", "Hits.", route="a", kind="x").inc()
        metrics.counter("sidegate_hits_total", "Hits.", kind="x", route="a").inc(2)
        metrics.counter("sidegate_hits_total", "Hits.", kind="y", route="a").inc()
        samples = scrape(metrics)
        assert samples["sidegate_hits_total{kind=x,route=a}"] == 3
        assert samples["sidegate_hits_total{kind=y,route=a}"] == 1

    def test_labels_are_optional(self, metrics: Metrics) -> None:
        metrics.counter("sidegate_hits_total", "Hits.").inc()
        assert scrape(metrics)["sidegate_hits_total"] == 1

    @pytest.mark.parametrize(
        ("name", "labels", "problem"),
        [
            ("hits_total", {}, "must be named sidegate_"),
            ("sidegate_hits", {}, "must be named sidegate_"),
            ("sidegate_Hits_total", {}, "must be named sidegate_"),
            ("sidegate_a\nb_total", {}, "must be named sidegate_"),
            ("sidegate_requests_total", {}, "one of Sidegate's own"),
            ("sidegate_errors_total", {}, "one of Sidegate's own"),
            ("sidegate_a_total", {"Bad": "x"}, "'Bad' is no name of a label"),
            ("sidegate_known_total", {}, "has the labels route, not none"),
            (
                "sidegate_known_total",
                {"route": "a", "b": "c"},
                "has the labels route, not b, route",
            ),
        ],
    )
    def test_what_could_not_be_exported_is_refused(
        self, metrics: Metrics, name: str, labels: dict[str, str], problem: str
    ) -> None:
        metrics.counter("sidegate_known_total", "Known.", route="a")
        with pytest.raises(ValueError, match=problem):
            metrics.counter(name, "Help.", **labels)

    def test_their_number_is_bounded(self, metrics: Metrics) -> None:
        for number in range(10_010):
            metrics.counter("sidegate_hits_total", "Hits.", key=str(number)).inc()
        [series] = [
            series
            for family, series in metrics.snapshot().families.items()
            if family.name == "sidegate_hits"
        ]
        assert len(series) == 10_001
        assert series[("_OTHER",)] == [10]
        metrics.counter("sidegate_others_total", "Others.", key="a").inc()
        assert scrape(metrics)["sidegate_others_total{key=a}"] == 1, "theirs are not used up"

    def test_long_label_values_are_cut(self, metrics: Metrics) -> None:
        metrics.counter("sidegate_hits_total", "Hits.", key="k" * 1000).inc()
        assert scrape(metrics)[f"sidegate_hits_total{{key={'k' * 128}}}"] == 1


class TestGaugesAndHistogramsOfPolicies:
    def test_a_gauge_is_shown_while_it_has_a_value(self, metrics: Metrics) -> None:
        gauge = metrics.gauge("sidegate_own_bytes", "Bytes.", route="a")
        assert "sidegate_own_bytes{route=a}" not in scrape(metrics)
        gauge.set(0)
        assert metrics.gauge("sidegate_own_bytes", "Bytes.", route="a").value == 0
        assert scrape(metrics)["sidegate_own_bytes{route=a}"] == 0
        gauge.clear()
        assert "sidegate_own_bytes{route=a}" not in scrape(metrics)

    def test_a_histogram_has_bounds_of_its_own(self, metrics: Metrics) -> None:
        metrics.histogram("sidegate_wait_seconds", "Waits.", (0.5, 1.0), route="a").observe(0.7)
        samples = scrape(metrics)
        name = "sidegate_wait_seconds"
        assert samples[f"{name}_bucket{{le=0.5,route=a}}"] == 0
        assert samples[f"{name}_bucket{{le=1.0,route=a}}"] == 1
        assert samples[f"{name}_sum{{route=a}}"] == 0.7

    def test_what_dashboards_rely_on_is_opened_as_promised(self, metrics: Metrics) -> None:
        metrics.gauge("sidegate_cache_bytes", "Bytes, in other words.").set(1)
        with pytest.raises(ValueError, match="not what the catalogue promises"):
            metrics.gauge("sidegate_cache_limit_bytes", "Bytes.", route="a")

    def test_a_name_is_of_one_kind(self, metrics: Metrics) -> None:
        metrics.gauge("sidegate_a_bytes", "Bytes.")
        with pytest.raises(ValueError, match="is a gauge"):
            metrics.gauge("sidegate_a_bytes", "Bytes.", merge="max")
        with pytest.raises(ValueError, match="is a gauge"):
            metrics.histogram("sidegate_a_bytes", "Bytes.")
        with pytest.raises(ValueError, match="must be named"):
            metrics.gauge("sidegate_a_total", "A count.")
