"""What is counted for each request."""

from __future__ import annotations

import pytest

from proxy.telemetry.ledger import PrivateLedger
from proxy.telemetry.route_cells import RouteCells
from tests.unit.telemetry.conftest import counted


def finish(cells: RouteCells, status: int = 200, method: str = "GET", trace_id: str = "") -> None:
    cells.finished(status, method, 0.03, 0.0003, 100, 10, trace_id)


@pytest.fixture
def cells() -> RouteCells:
    return RouteCells(PrivateLedger(), "a")


def test_requests_are_counted_by_method_and_status(cells: RouteCells) -> None:
    for status, method in ((200, "GET"), (200, "GET"), (404, "GET"), (201, "POST"), (0, "GET")):
        finish(cells, status, method)
    assert counted(cells) == {"GET": {200: 2, 404: 1, 0: 1}, "POST": {201: 1}}


def test_methods_that_clients_make_up_are_one_label(cells: RouteCells) -> None:
    for method in ("", "BREW", "get", "X" * 1000):
        finish(cells, 400, method)
    assert counted(cells) == {"_OTHER": {400: 4}}


def test_statuses_that_upstreams_make_up_are_bounded(cells: RouteCells) -> None:
    for status in range(200, 600):
        finish(cells, status)
        finish(cells, status)
    codes = counted(cells)["GET"]
    assert len(codes) == 257
    assert codes[-1] == 2 * (400 - 256)
    assert codes[200] == 2


def test_durations_and_bytes_are_summed(cells: RouteCells) -> None:
    finish(cells)
    finish(cells)
    assert cells.seconds.total == 0.06
    assert cells.seconds.counts[cells.seconds.bounds.index(0.05)] == 2
    assert cells.overhead.counts[cells.overhead.bounds.index(0.0005)] == 2
    assert (cells.sent[0], cells.received[0]) == (200, 20)


def test_each_bucket_keeps_its_latest_request(cells: RouteCells) -> None:
    finish(cells, trace_id="first")
    finish(cells, trace_id="second")
    finish(cells, trace_id="")
    assert [latest for latest in cells.exemplars if latest] == [("second", 0.03)]
