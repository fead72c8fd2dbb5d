"""Counts as metric families, and families as text.

May live here: names, help texts and labels of the exported metrics (CONVENTIONS: prefix
`sidegate_`, base units, `_total` and `_info`). Must not live here: counting. Slow by
nature, so it runs beside the event loop, on a snapshot.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from proxy.cells import Histogram
from proxy.telemetry.route_cells import OTHER, RouteCells
from proxy.telemetry.snapshot import Snapshot

# OpenMetrics allows 128 characters for names and values of an exemplar's labels together.
_EXEMPLAR_MAX: Final = 128 - len("request_id")


class Exposition:
    """Renders snapshots, with the process's own figures. version: of Sidegate."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        GCCollector(registry=self._process)

    def render(self, snapshot: Snapshot, accept: str) -> tuple[str, bytes]:
        """Content type and body, as the Accept field asks: text or OpenMetrics."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(_Families(self._collect(snapshot)))

    def _collect(self, snapshot: Snapshot) -> Iterator[Metric]:
        build = InfoMetricFamily("sidegate_build", "Versions of what runs.")
        build.add_metric([], {"version": self._version, "python": platform.python_version()})
        yield build
        yield from families(snapshot)
        yield from self._process.collect()


class _Families(Collector):
    """What prometheus-client's encoders take: something to collect from, once."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """All of Sidegate's own metrics, in the order in which they are shown."""
    yield from _routes(snapshot.routes)
    yield from _server(snapshot)
    yield from _upstreams(snapshot)
    yield from _pools(snapshot)
    yield from _operations(snapshot)
    for name, family in snapshot.custom.items():
        counter = CounterMetricFamily(name, family.documentation, labels=family.labels)
        for labels, cell in family.cells.items():
            counter.add_metric(labels, cell.value)
        yield counter


def _routes(routes: dict[str, RouteCells]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "sidegate_requests",
        "Requests that ended, by the status sent; 0 when the client left before one.",
        labels=("route", "method", "code"),
    )
    seconds = HistogramMetricFamily(
        "sidegate_request_duration_seconds",
        "From a request's head to the end of its response.",
        labels=("route",),
    )
    overhead = HistogramMetricFamily(
        "sidegate_request_overhead_seconds",
        "Sidegate's own share: the duration without the wait for the upstream's response head.",
        labels=("route",),
    )
    received = CounterMetricFamily(
        "sidegate_request_bytes", "Bytes received from clients.", labels=("route",)
    )
    sent = CounterMetricFamily(
        "sidegate_response_bytes", "Bytes sent to clients.", labels=("route",)
    )
    for route, cells in routes.items():
        for method, codes in cells.codes.copy().items():
            for code, count in codes.copy().items():
                requests.add_metric((route, method, str(code) if code >= 0 else OTHER), count)
        rows = [
            (bound, float(count), exemplar) if exemplar else (bound, float(count))
            for (bound, count), exemplar in zip(
                cells.seconds.cumulative(), map(_exemplar, cells.exemplars), strict=True
            )
        ]
        seconds.add_metric((route,), rows, cells.seconds.total)
        overhead.add_metric((route,), cells.overhead.cumulative(), cells.overhead.total)
        received.add_metric((route,), cells.received)
        sent.add_metric((route,), cells.sent)
    yield from (requests, seconds, overhead, received, sent)


def _exemplar(latest: tuple[str, float] | None) -> Exemplar | None:
    if latest is None or len(latest[0]) > _EXEMPLAR_MAX:
        return None
    return Exemplar({"request_id": latest[0]}, latest[1])


def _server(snapshot: Snapshot) -> Iterator[Metric]:
    in_flight = GaugeMetricFamily("sidegate_requests_in_flight", "Requests being answered.")
    connections = GaugeMetricFamily(
        "sidegate_connections",
        "Client connections, with a request being answered (active) or without (idle).",
        labels=("state",),
    )
    accepted = CounterMetricFamily(
        "sidegate_connections_accepted", "Client connections that were accepted."
    )
    closed = CounterMetricFamily(
        "sidegate_connections_closed", "Client connections that ended.", labels=("reason",)
    )
    server = snapshot.server
    if server is not None:
        in_flight.add_metric((), server.in_flight)
        active = min(server.in_flight, server.open)
        connections.add_metric(("active",), active)
        connections.add_metric(("idle",), server.open - active)
        accepted.add_metric((), server.accepted)
        for reason, count in server.closed.items():
            closed.add_metric((reason,), count)
    yield from (in_flight, connections, accepted, closed)


def _upstreams(snapshot: Snapshot) -> Iterator[Metric]:
    waits = HistogramMetricFamily(
        "sidegate_upstream_duration_seconds",
        "From the policies' consent to the head of the upstream's response.",
        labels=("upstream",),
    )
    for upstream, histogram in snapshot.upstreams.items():
        _observe(waits, (upstream,), histogram)
    yield waits


def _pools(snapshot: Snapshot) -> Iterator[Metric]:
    place = ("upstream", "endpoint")
    connections = GaugeMetricFamily(
        "sidegate_upstream_pool_connections",
        "Connections to an endpoint, idle or in use.",
        labels=(*place, "state"),
    )
    waiters = GaugeMetricFamily(
        "sidegate_upstream_pool_waiters", "Requests that wait for a connection.", labels=place
    )
    capacity = GaugeMetricFamily(
        "sidegate_upstream_pool_capacity", "Most connections to an endpoint.", labels=place
    )
    opened = CounterMetricFamily(
        "sidegate_upstream_pool_opened", "Connections that were opened.", labels=place
    )
    closed = CounterMetricFamily(
        "sidegate_upstream_pool_closed", "Connections that ended.", labels=(*place, "reason")
    )
    acquire = HistogramMetricFamily(
        "sidegate_upstream_pool_acquire_seconds", "Waits for a connection.", labels=place
    )
    retries = CounterMetricFamily(
        "sidegate_upstream_retries", "Requests sent once more.", labels=("upstream", "reason")
    )
    retried: dict[tuple[str, str], int] = {}
    for key, pool in snapshot.pools.items():
        connections.add_metric((*key, "idle"), pool.idle)
        connections.add_metric((*key, "in_use"), pool.in_use)
        waiters.add_metric(key, pool.waiting)
        capacity.add_metric(key, pool.capacity)
        opened.add_metric(key, pool.opened)
        for reason, count in pool.closed.items():
            closed.add_metric((*key, reason), count)
        _observe(acquire, key, pool.acquire)
        for reason, count in pool.retries.items():
            retried[key[0], reason] = retried.get((key[0], reason), 0) + count
    for labels, count in retried.items():
        retries.add_metric(labels, count)
    yield from (connections, waiters, capacity, opened, closed, acquire, retries)


def _operations(snapshot: Snapshot) -> Iterator[Metric]:
    refusals = CounterMetricFamily(
        "sidegate_refusals",
        "Requests that a policy refused, or in shadow mode would have refused.",
        labels=("policy", "code", "mode"),
    )
    for labels, count in snapshot.refusals.items():
        refusals.add_metric(labels, count)
    errors = CounterMetricFamily(
        "sidegate_errors", "Requests answered with an error of Sidegate's.", labels=("code",)
    )
    for labels, count in snapshot.errors.items():
        errors.add_metric(labels, count)
    reloads = CounterMetricFamily(
        "sidegate_config_reloads", "Configurations taken or turned down.", labels=("result",)
    )
    reloads.add_metric(("success",), snapshot.reloads.succeeded)
    reloads.add_metric(("failure",), snapshot.reloads.rejected)
    info = InfoMetricFamily("sidegate_config", "The configuration in use.")
    age = GaugeMetricFamily(
        "sidegate_config_age_seconds", "Time since the configuration in use was taken."
    )
    if snapshot.reloads.digest:
        info.add_metric((), {"digest": snapshot.reloads.digest})
        age.add_metric((), snapshot.reloads.age)
    dropped = CounterMetricFamily(
        "sidegate_log_dropped", "Log lines lost because their reader was slow or gone."
    )
    dropped.add_metric((), snapshot.dropped)
    lag = HistogramMetricFamily(
        "sidegate_event_loop_lag_seconds", "How late timers of the event loop came."
    )
    _observe(lag, (), snapshot.lag)
    yield from (refusals, errors, reloads, info, age, dropped, lag)


def _observe(family: HistogramMetricFamily, labels: tuple[str, ...], cells: Histogram) -> None:
    family.add_metric(labels, cells.cumulative(), cells.total)


OWN_NAMES: Final = frozenset(["sidegate_build", *(family.name for family in families(Snapshot()))])
