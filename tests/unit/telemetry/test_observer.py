"""One call when a request ends: counts and line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.config.telemetry import Logging
from proxy.contract import Request, RouteInfo
from proxy.http1.headers import Headers
from proxy.telemetry.access_log import AccessLog
from proxy.telemetry.catalogue import ERRORS, REFUSALS, UPSTREAM_DURATION
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.observer import Observer
from proxy.telemetry.selection import LineChoice
from tests.unit.telemetry.conftest import Lines, counted

Wall = Callable[[], float]


@pytest.fixture
def metrics(lines: Lines, wall: Wall) -> Metrics:
    return Metrics("0.1.0", lines.sink, wall)


@pytest.fixture
def observer(metrics: Metrics, lines: Lines, wall: Wall) -> Observer:
    return Observer(metrics, LineChoice(lambda: AccessLog(Logging(), lines.sink, wall).line))


def test_a_request_is_counted_and_logged(
    observer: Observer, metrics: Metrics, lines: Lines, request_in: Request
) -> None:
    observer.finished(request_in, 200, 1534, 321, 100.0025)
    cells = metrics.route("catalogue")
    assert counted(cells) == {"GET": {200: 1}}
    assert (cells.sent[0], cells.received[0]) == (1534, 321)
    assert cells.seconds.total == pytest.approx(0.0025)
    assert metrics.upstream("app").total == pytest.approx(0.00105)
    assert cells.overhead.total == pytest.approx(0.0025 - 0.00105), "the wait isn't ours"
    [line] = lines.json()
    assert (line["route"], line["status"], line["bytes_out"]) == ("catalogue", 200, 1534)


def test_a_request_that_was_never_forwarded_is_all_our_own(
    observer: Observer, metrics: Metrics, request_in: Request
) -> None:
    request_in.timings.forwarded = request_in.timings.first_byte = 0.0
    observer.finished(request_in, 429, 10, 10, 100.5, "rate_limited")
    assert metrics.route("catalogue").overhead.total == pytest.approx(0.5)
    assert metrics.upstream("app").total == 0
    assert metrics.snapshot().families[ERRORS] == {("rate_limited",): [1]}


def test_a_body_that_streams_is_not_our_own_time(
    observer: Observer, metrics: Metrics, request_in: Request
) -> None:
    request_in.timings.responded = 100.002
    observer.finished(request_in, 200, 10, 10, 107.0)
    cells = metrics.route("catalogue")
    assert cells.seconds.total == pytest.approx(7.0)
    assert cells.overhead.total == pytest.approx(0.002 - 0.00105)


def test_a_tunnel_takes_until_it_is_open(
    observer: Observer, metrics: Metrics, lines: Lines, request_in: Request
) -> None:
    request_in.timings.responded = 100.002
    observer.finished(request_in, 101, 10, 10, 3700.0)
    observer.mark(request_in, 101, 3700.0)
    cells = metrics.route("catalogue")
    assert cells.seconds.total == pytest.approx(0.002)
    assert cells.overhead.total == pytest.approx(0.002 - 0.00105)
    assert cells.exemplars[0] is not None, "in the same bucket"
    assert lines.json()[0]["total_ms"] == 3_600_000, "its line tells how long it was open"


def test_refusals_are_counted_by_policy_in_both_modes(
    observer: Observer, metrics: Metrics, request_in: Request
) -> None:
    request_in.decide("rate_limit", "refused", "rate_limited")
    request_in.decide("auth", "would_refuse", "forbidden")
    request_in.decide("redirect", "answered", "/b")
    observer.finished(request_in, 429, 10, 10, 100.5, "rate_limited")
    assert metrics.snapshot().families[REFUSALS] == {
        ("rate_limit", "rate_limited", "enforce"): [1],
        ("auth", "forbidden", "shadow"): [1],
    }


def test_nothing_that_a_client_made_up_is_a_label(
    observer: Observer, metrics: Metrics, request_in: Request
) -> None:
    request_in.decide("validate", "refused", "invalid_input: body /hunter2: unknown")
    request_in.decide("custom", "would_refuse", "hunter2 is no name")
    observer.finished(request_in, 400, 10, 10, 100.5)
    assert metrics.snapshot().families[REFUSALS] == {
        ("validate", "invalid_input", "enforce"): [1],
        ("custom", "_OTHER", "shadow"): [1],
    }


def test_a_malformed_request_counts_under_no_route(
    observer: Observer, metrics: Metrics, lines: Lines
) -> None:
    observer.finished(Request("", b"", "", "", Headers()), 400, 10, 10, 0.1, "bad_request")
    assert counted(metrics.route("none")) == {"_OTHER": {400: 1}}
    assert metrics.snapshot().families[UPSTREAM_DURATION] == {}
    assert lines.json()[0]["error"] == "bad_request"


def test_counts_go_on_after_a_reload(
    metrics: Metrics, lines: Lines, wall: Wall, request_in: Request
) -> None:
    for pattern in ("/api/**", "/other/**"):
        request_in.route = RouteInfo("catalogue", "app", pattern)
        observer = Observer(
            metrics, LineChoice(lambda: AccessLog(Logging(), lines.sink, wall).line)
        )
        observer.finished(request_in, 200, 1, 1, 100.5)
    assert counted(metrics.route("catalogue")) == {"GET": {200: 2}}


def test_counting_goes_on_without_access_lines(
    metrics: Metrics, lines: Lines, wall: Wall, request_in: Request
) -> None:
    Observer(metrics, LineChoice(lambda: None)).finished(request_in, 200, 1, 1, 100.5)
    assert counted(metrics.route("catalogue")) == {"GET": {200: 1}}
    assert lines.raw() == b""
