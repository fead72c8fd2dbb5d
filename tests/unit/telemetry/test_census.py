"""What others count, as rows of a ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan

import pytest

from proxy.cells import Histogram
from proxy.telemetry.catalogue import (
    CLOSED,
    POOL_ACQUIRE,
    POOL_CAPACITY,
    POOL_CLOSED,
    POOL_CONNECTIONS,
    POOL_OPENED,
    POOL_WAITERS,
    RETRIES,
    Family,
)
from proxy.telemetry.census import Census
from proxy.telemetry.ledger import PrivateLedger
from tests.unit.telemetry.conftest import Lines


@dataclass(eq=False)
class Pool:
    upstream: str = "app"
    endpoint: str = "http://a:80"
    in_use: int = 2
    idle: int = 3
    tunnels: int = 4
    waiting: int = 1
    size: int = 64
    overflow: int = 32
    opened: int = 7
    closed: dict[str, int] = field(default_factory=lambda: {"idle": 1})
    retries: dict[str, int] = field(default_factory=lambda: {"stale": 1})
    acquire: Histogram = field(default_factory=Histogram)


@dataclass(eq=False)
class Server:
    open: int = 5
    accepted: int = 9
    closed: dict[str, int] = field(default_factory=lambda: {"idle": 4})
    in_flight: int = 2


class World:
    def __init__(self, lines: Lines) -> None:
        self.ledger = PrivateLedger()
        self.pools = [Pool()]
        self.census = Census(self.ledger, lines.sink, lambda: self.pools, Server())

    def value(self, family: Family, *labels: str) -> float:
        return self.ledger.open(family, labels)[0]


@pytest.fixture
def world(lines: Lines) -> World:
    return World(lines)


PLACE = ("app", "http://a:80")


def test_pools_to_the_same_endpoint_are_added_up(world: World) -> None:
    world.pools = [Pool(), Pool(closed={"idle": 2, "lifetime": 1}), Pool(endpoint="http://b:80")]
    world.pools[0].acquire.observe(0.2)
    world.pools[1].acquire.observe(0.3)
    world.census.take()
    assert world.value(POOL_CONNECTIONS, *PLACE, "in_use") == 4
    assert world.value(POOL_CONNECTIONS, *PLACE, "idle") == 6
    assert world.value(POOL_CONNECTIONS, *PLACE, "tunnel") == 8
    assert world.value(POOL_WAITERS, *PLACE) == 2
    assert world.value(POOL_CAPACITY, *PLACE) == 192
    assert world.value(POOL_OPENED, *PLACE) == 14
    assert world.value(POOL_CLOSED, *PLACE, "idle") == 3
    assert world.value(POOL_CLOSED, *PLACE, "lifetime") == 1
    assert world.value(RETRIES, "app", "stale") == 3
    assert world.ledger.open(POOL_ACQUIRE, PLACE)[-1] == 0.5


def test_counts_are_told_once(world: World) -> None:
    for _ in range(3):
        world.census.take()
    assert world.value(POOL_OPENED, *PLACE) == 7
    assert world.value(CLOSED, "idle") == 4
    world.pools[0].opened += 2
    world.census.take()
    assert world.value(POOL_OPENED, *PLACE) == 9


def test_counts_outlive_the_pool_and_levels_do_not(world: World) -> None:
    world.census.take()
    world.pools = [Pool(endpoint="http://b:80")]
    world.census.take()
    assert world.value(POOL_OPENED, *PLACE) == 7
    assert isnan(world.value(POOL_CONNECTIONS, *PLACE, "idle"))
    assert world.value(POOL_CONNECTIONS, "app", "http://b:80", "idle") == 3


def test_endpoints_that_come_and_go_share_a_series_in_the_end(world: World) -> None:
    for number in range(1_005):
        world.pools = [Pool(endpoint=f"http://10.0.0.1:{number}")]
        world.census.take()
    assert world.value(POOL_OPENED, "app", "http://10.0.0.1:999") == 7
    assert world.value(POOL_OPENED, "app", "_OTHER") == 5 * 7
    assert len([key for key, _ in world.ledger.rows() if key[0] is POOL_OPENED]) == 1_001


def test_a_process_without_listeners_tells_the_rest(lines: Lines) -> None:
    ledger = PrivateLedger()
    Census(ledger, lines.sink, tuple, None).take()
    told = {family.name for (family, _), _ in ledger.rows()}
    assert "process_resident_memory_bytes" in told
    assert "sidegate_connections" not in told
