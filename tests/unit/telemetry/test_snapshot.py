"""Counts at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.cells import Histogram
from proxy.telemetry.snapshot import copy_pools, copy_server


@dataclass
class Pool:
    upstream: str = "app"
    endpoint: str = "http://a:80"
    in_use: int = 2
    idle: int = 3
    waiting: int = 1
    size: int = 64
    overflow: int = 32
    opened: int = 7
    closed: dict[str, int] = field(default_factory=lambda: {"idle": 1})
    retries: dict[str, int] = field(default_factory=lambda: {"stale": 1})
    acquire: Histogram = field(default_factory=Histogram)


@dataclass
class Server:
    open: int = 5
    accepted: int = 9
    closed: dict[str, int] = field(default_factory=lambda: {"idle": 4})
    in_flight: int = 2


def test_pools_to_the_same_endpoint_are_added_up() -> None:
    old, new = Pool(), Pool(closed={"idle": 2, "lifetime": 1})
    old.acquire.observe(0.2)
    new.acquire.observe(0.3)
    pools = copy_pools([old, new, Pool(endpoint="http://b:80")])
    assert set(pools) == {("app", "http://a:80"), ("app", "http://b:80")}
    both = pools["app", "http://a:80"]
    assert (both.in_use, both.idle, both.waiting, both.capacity, both.opened) == (4, 6, 2, 192, 14)
    assert both.closed == {"idle": 3, "lifetime": 1}
    assert both.retries == {"stale": 2}
    assert both.acquire.total == 0.5


def test_a_copy_does_not_follow_its_source() -> None:
    pool, server = Pool(), Server()
    pools, counts = copy_pools([pool]), copy_server(server)
    pool.closed["idle"] = server.closed["idle"] = 99
    pool.acquire.observe(1.0)
    assert pools["app", "http://a:80"].closed == {"idle": 1}
    assert pools["app", "http://a:80"].acquire.total == 0
    assert counts is not None
    assert counts.closed == {"idle": 4}


def test_a_process_without_listeners_has_no_server() -> None:
    assert copy_server(None) is None
