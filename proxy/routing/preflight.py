"""CORS preflights take the route of the method that they announce (Fetch, 4.8).

A browser asks by OPTIONS whether a POST may follow. A route for POST alone doesn't match
that, so what answers preflights on it would never be asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from proxy.contract import Request
from proxy.routing.table import Find, Found, Miss

T = TypeVar("T")


def announced_method(request: Request) -> str:
    """The method that a preflight announces; empty for any other request."""
    if request.method != "OPTIONS" or "origin" not in request.headers:
        return ""
    return request.headers.get("access-control-request-method") or ""


def by_announced_method(find: Find[T], answers: Callable[[T], bool]) -> Find[T]:
    """`find`, but preflights first look for a route of the announced method.

    answers: whether a route answers preflights; those of others are ordinary requests.
    """

    def look(request: Request) -> Found[T] | Miss:
        method = announced_method(request)
        if method:
            request.method = method
            try:
                found = find(request)
            finally:
                request.method = "OPTIONS"
            if isinstance(found, Found) and answers(found.value):
                return found
        return find(request)

    return look
