"""A paused clock, a sink that keeps its lines, and a request to tell of."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proxy.contract import Decision, Request, RouteInfo, TraceContext
from proxy.http1.headers import Headers
from proxy.telemetry.route_cells import RouteCells
from proxy.telemetry.sink import Sink

NOON = 1795521845.123
"""2026-11-24T12:04:05.123Z."""


class Lines:
    """Everything that was logged."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()
        self.sink = Sink(self.stream)

    def raw(self) -> bytes:
        assert self.sink.close(5.0)
        return self.stream.getvalue()

    def text(self) -> list[str]:
        return self.raw().decode().splitlines()

    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw().splitlines()]


def counted(cells: RouteCells) -> dict[str, dict[int, float]]:
    """How often each status was sent, by method."""
    return {
        method: {status: row[0] for status, row in codes.items()}
        for method, codes in cells.codes.items()
    }


@pytest.fixture
def lines() -> Iterator[Lines]:
    lines = Lines()
    yield lines
    lines.sink.close()


@pytest.fixture
def wall() -> Callable[[], float]:
    return lambda: NOON


def make_request() -> Request:
    """A GET that went through every station, 250 µs in policies and 1 ms at the upstream."""
    request = Request(
        "GET",
        b"/api/items/42",
        "/api/items/42",
        "",
        Headers([(b"User-Agent", b"curl/8.5.0"), (b"Authorization", b"Bearer canary-4711")]),
        host="api.example.com",
        client_ip="203.0.113.9",
        received=100.0,
    )
    request.id = "0198f7a1-2b3c-7d4e-8f00-112233445566"
    request.trace = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "", 2, "")
    request.route = RouteInfo("catalogue", "app", "/api/**")
    request.endpoint = "http://127.0.0.1:3000"
    request.decisions.append(Decision("rate_limit", "admitted"))
    request.timings.forwarded = 100.00025
    request.timings.connected = 100.00030
    request.timings.first_byte = 100.00130
    return request


@pytest.fixture
def request_in() -> Request:
    """As `make_request`."""
    return make_request()
