"""A small world for policies: a paused clock, seeded randomness, and records of what was said."""

from __future__ import annotations

from collections.abc import Coroutine
from random import Random
from typing import Any

from proxy.cells import DURATION_BUCKETS, Histogram, Level
from proxy.contract import Handler, Policy, PromptGate, Request, Response, Toolkit
from proxy.errors import GatewayError, Refused
from proxy.http1.headers import Headers, encode
from proxy.runtime.chain import BoundPolicy, bind
from proxy.store.memory import Memory
from proxy.store.region import Region
from proxy.store.trove import Trove

WALL = 1795446245.123
"""2026-11-23T15:04:05.123Z"""


class Count:
    """A counter that can be read."""

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        self.value += amount


class Journal:
    """Metrics and log in one, kept as lists."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.counts: dict[tuple[str, ...], Count] = {}
        self.gauges: dict[tuple[str, ...], Level] = {}
        self.histograms: dict[tuple[str, ...], Histogram] = {}

    def counter(self, name: str, documentation: str, **labels: str) -> Count:
        return self.counts.setdefault((name, *labels.values()), Count())

    def gauge(self, name: str, documentation: str, merge: str = "sum", **labels: str) -> Level:
        return self.gauges.setdefault((name, *labels.values()), Level())

    def histogram(
        self,
        name: str,
        documentation: str,
        bounds: tuple[float, ...] = DURATION_BUCKETS,
        **labels: str,
    ) -> Histogram:
        return self.histograms.setdefault((name, *labels.values()), Histogram(bounds))

    def debug(self, event: str, **facts: Any) -> None:
        self.lines.append(("debug", event, facts))

    def info(self, event: str, **facts: Any) -> None:
        self.lines.append(("info", event, facts))

    def warning(self, event: str, **facts: Any) -> None:
        self.lines.append(("warning", event, facts))

    def error(self, event: str, **facts: Any) -> None:
        self.lines.append(("error", event, facts))


class World:
    """now: the paused monotonic clock. Advance it by assignment."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall = WALL
        self.journal = Journal()
        self.trove = Trove(1024 * 1024, 256 * 1024, self.journal)
        self.toolkit = Toolkit(
            clock=lambda: self.now,
            wall=lambda: self.wall,
            random=Random(7).randbytes,
            store=Memory(Region.private(bytes(16), 1000), lambda: self.now, lambda: self.wall),
            trove=self.trove,
            metrics=self.journal,
            log=self.journal,
            spawn=_no_tasks,
            route="shop",
            identity="policy/shop",
        )


def _no_tasks(work: Coroutine[Any, Any, None]) -> None:
    raise AssertionError("no policy here runs in the background")


def a_request(
    target: str = "/a/b",
    *fields: tuple[str, str],
    method: str = "GET",
    client_ip: str = "192.0.2.7",
    scheme: str = "http",
    host: str = "shop.example",
    trusted: bool = False,
    captures: dict[str, str] | None = None,
) -> Request:
    """A request as the data plane hands it over."""
    path, _, query = target.partition("?")
    request = Request(
        method, target.encode("ascii"), path, query, some_headers(*fields),
        client_ip=client_ip, scheme=scheme, host=host, authority=host, trusted=trusted,
    )  # fmt: skip
    if captures is not None:
        request.captures = captures
    return request


def some_headers(*fields: tuple[str, str]) -> Headers:
    """Fields from text."""
    return Headers([(name.encode("ascii"), encode(value)) for name, value in fields])


def upstream_response(
    status: int = 200, *fields: tuple[str, str], body: bytes = b"body"
) -> Response:
    """A response of an upstream."""
    return Response(status, some_headers(*fields), body, origin="upstream")


def refusal(gate: PromptGate, request: Request) -> Refused | None:
    """Why a gate refuses a request; None when it admits it."""
    try:
        verdict = gate.check(request)
    except Refused as refused:
        return refused
    assert verdict is None or isinstance(verdict, Refused), "it has to be waited for"
    return verdict


def standing(policy: Policy, inside: Handler) -> Handler:
    """The policy in force around what is inside it."""
    return bind([BoundPolicy("policy", "enforce", policy)], inside)


def answering(response: Response) -> Handler:
    """A handler that always gives this response."""

    async def handle(request: Request) -> Response:
        return response

    return handle


def failing(error: BaseException) -> Handler:
    """A handler that always raises this."""

    async def handle(request: Request) -> Response:
        raise error

    return handle


async def raise_failure(request: Request) -> Response:
    """What stands inside the policies when a request could not be read."""
    raise request.failure or GatewayError("route_not_found")
