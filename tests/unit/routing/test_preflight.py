"""Preflights go where the request that they announce would go."""

from __future__ import annotations

import pytest

from proxy.config.model import Match
from proxy.contract import Request
from proxy.http1.headers import Headers
from proxy.routing.preflight import announced_method, by_announced_method
from proxy.routing.table import Found, Table

# The first three answer preflights.
ROUTES = [
    Match(path="/a", methods=("POST",)),
    Match(path="/b", methods=("GET", "POST")),
    Match(path="/c"),
    Match(path="/b", methods=("PUT",)),
    Match(path="/**", methods=("OPTIONS", "PUT")),
]


def asking(
    path: str, announced: str | None, *, method: str = "OPTIONS", origin: bool = True
) -> Request:
    headers = Headers([(b"Origin", b"https://app.test")] if origin else [])
    if announced is not None:
        headers.set("Access-Control-Request-Method", announced)
    return Request(method, path.encode(), path, "", headers, host="a.test")


@pytest.mark.parametrize(
    ("request_", "route"),
    [
        (asking("/a", "POST"), 0),
        (asking("/b", "GET"), 1),
        (asking("/b", "HEAD"), 1),
        (asking("/c", "PUT"), 2),
        (asking("/c", "BREW"), 2),
        # The route of the announced method doesn't answer: an ordinary OPTIONS request.
        (asking("/b", "PUT"), 4),
        (asking("/x", "PUT"), 4),
        # No route for the announced method.
        (asking("/a", "DELETE"), 4),
        # No preflights.
        (asking("/a", "POST", origin=False), 4),
        (asking("/a", None), 4),
        (asking("/a", ""), 4),
        (asking("/b", "PUT", method="GET"), 1),
    ],
)
def test_the_route_of_a_preflight(request_: Request, route: int) -> None:
    table = Table([(match, index) for index, match in enumerate(ROUTES)])
    method = request_.method
    found = by_announced_method(table.find, lambda index: index < 3)(request_)
    assert isinstance(found, Found)
    assert found.value == route
    assert request_.method == method


def test_the_method_that_is_announced() -> None:
    assert announced_method(asking("/", "PUT")) == "PUT"
    assert announced_method(asking("/", None)) == ""
    assert announced_method(asking("/", "PUT", method="POST")) == ""
