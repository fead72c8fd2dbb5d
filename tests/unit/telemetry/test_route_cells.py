"""What is counted for each request."""

from __future__ import annotations

from proxy.telemetry.route_cells import RouteCells


def finish(cells: RouteCells, status: int = 200, method: str = "GET", request_id: str = "") -> None:
    cells.finished(status, method, 0.03, 0.0003, 100, 10, request_id)


def test_requests_are_counted_by_method_and_status() -> None:
    cells = RouteCells()
    for status, method in ((200, "GET"), (200, "GET"), (404, "GET"), (201, "POST"), (0, "GET")):
        finish(cells, status, method)
    assert cells.codes == {"GET": {200: 2, 404: 1, 0: 1}, "POST": {201: 1}}


def test_methods_that_clients_make_up_are_one_label() -> None:
    cells = RouteCells()
    for method in ("", "BREW", "get", "X" * 1000):
        finish(cells, 400, method)
    assert cells.codes == {"_OTHER": {400: 4}}


def test_statuses_that_upstreams_make_up_are_bounded() -> None:
    cells = RouteCells()
    for status in range(200, 600):
        finish(cells, status)
        finish(cells, status)
    codes = cells.codes["GET"]
    assert len(codes) == 257
    assert codes[-1] == 2 * (400 - 256)
    assert codes[200] == 2


def test_durations_and_bytes_are_summed() -> None:
    cells = RouteCells()
    finish(cells)
    finish(cells)
    assert cells.seconds.total == 0.06
    assert dict(cells.seconds.cumulative())["0.025"] == 0
    assert dict(cells.seconds.cumulative())["0.05"] == 2
    assert dict(cells.overhead.cumulative())["0.00025"] == 0
    assert dict(cells.overhead.cumulative())["0.0005"] == 2
    assert (cells.sent, cells.received) == (200, 20)


def test_each_bucket_keeps_its_latest_request() -> None:
    cells = RouteCells()
    finish(cells, request_id="first")
    finish(cells, request_id="second")
    finish(cells, request_id="")
    assert [latest for latest in cells.exemplars if latest] == [("second", 0.03)]
