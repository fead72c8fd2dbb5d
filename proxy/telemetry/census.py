"""What others count in their own way, written into the ledger from time to time.

May live here: views of pools, listeners and the process, and how they become rows. Must not
live here: anything that a request waits for. Counts are written as what was added since the
last time, so that they never go down: not when a pool goes away, and not when the process
does and another goes on with its ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import nan
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

from proxy.cells import Histogram
from proxy.telemetry.catalogue import (
    ACCEPTED,
    CLOSED,
    CONNECTIONS,
    IN_FLIGHT,
    LOG_DROPPED,
    POOL_ACQUIRE,
    POOL_CAPACITY,
    POOL_CLOSED,
    POOL_CONNECTIONS,
    POOL_OPENED,
    POOL_WAITERS,
    RETRIES,
    Family,
)
from proxy.telemetry.ledger import Key, Ledger
from proxy.telemetry.route_cells import OTHER
from proxy.telemetry.sink import Sink

_STARTED: Final = "process_start_time_seconds"
# Endpoints that are discovered come and go for as long as the process runs.
_ENDPOINTS_MAX: Final = 1_000


class PoolView(Protocol):
    """What a pool of upstream connections tells; counts are of its whole life."""

    @property
    def upstream(self) -> str:
        """Name of the upstream."""
        ...

    @property
    def endpoint(self) -> str:
        """Address of the endpoint, as configured."""
        ...

    @property
    def in_use(self) -> int:
        """Connections that serve a request."""
        ...

    @property
    def idle(self) -> int:
        """Connections that wait for one."""
        ...

    @property
    def tunnels(self) -> int:
        """Connections that have become tunnels."""
        ...

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        ...

    @property
    def size(self) -> int:
        """Most connections that are kept."""
        ...

    @property
    def overflow(self) -> int:
        """Most connections beyond `size`."""
        ...

    @property
    def opened(self) -> int:
        """Connections opened so far."""
        ...

    @property
    def closed(self) -> Mapping[str, int]:
        """Connections closed so far, by reason."""
        ...

    @property
    def retries(self) -> Mapping[str, int]:
        """Requests sent once more, by reason."""
        ...

    @property
    def acquire(self) -> Histogram:
        """Waits for a connection, in seconds."""
        ...


class ServerView(Protocol):
    """What the listeners tell of client connections."""

    @property
    def open(self) -> int:
        """Connections at present."""
        ...

    @property
    def accepted(self) -> int:
        """Connections accepted so far."""
        ...

    @property
    def closed(self) -> Mapping[str, int]:
        """Connections closed so far, by reason."""
        ...

    @property
    def in_flight(self) -> int:
        """Requests being answered."""
        ...


class Census:
    """Writes the present state of what it is shown into a ledger."""

    def __init__(
        self,
        ledger: Ledger,
        sink: Sink,
        pools: Callable[[], Iterable[PoolView]],
        server: ServerView | None,
    ) -> None:
        self._ledger = ledger
        self._sink = sink
        self._pools = pools
        self._server = server
        self._process = (ProcessCollector(registry=None), GCCollector(CollectorRegistry()))
        # By identity, which the reference beside it keeps from being given away.
        self._told: dict[int, tuple[object, dict[Key, list[float]]]] = {}
        self._asked: set[int] = set()
        self._levels: dict[Key, float] = {}
        self._shown: set[Key] = set()
        self._endpoints: set[tuple[str, str]] = set()

    def take(self) -> None:
        """Write everything anew. It takes some 0.2 ms, and 20 µs more for each pool."""
        self._levels = {}
        self._asked = set()
        for pool in self._pools():
            self._pool(pool)
        if self._server is not None:
            self._clients(self._server)
        self._grow(self._sink, LOG_DROPPED, (), self._sink.dropped)
        self._own_process()
        for family, labels in self._shown - self._levels.keys():
            self._ledger.open(family, labels)[0] = nan
        for (family, labels), value in self._levels.items():
            self._ledger.open(family, labels)[0] = value
        self._shown = set(self._levels)
        for gone in self._told.keys() - self._asked:
            del self._told[gone]

    def _pool(self, pool: PoolView) -> None:
        place = (pool.upstream, pool.endpoint)
        if place not in self._endpoints:
            if len(self._endpoints) < _ENDPOINTS_MAX:
                self._endpoints.add(place)
            else:
                place = (pool.upstream, OTHER)
        # After a reload there may be two pools to one endpoint for a while.
        self._add(POOL_CONNECTIONS, (*place, "idle"), pool.idle)
        self._add(POOL_CONNECTIONS, (*place, "in_use"), pool.in_use)
        self._add(POOL_CONNECTIONS, (*place, "tunnel"), pool.tunnels)
        self._add(POOL_WAITERS, place, pool.waiting)
        self._add(POOL_CAPACITY, place, pool.size + pool.overflow)
        self._grow(pool, POOL_OPENED, place, pool.opened)
        for reason, count in pool.closed.items():
            self._grow(pool, POOL_CLOSED, (*place, reason), count)
        for reason, count in pool.retries.items():
            self._grow(pool, RETRIES, (pool.upstream, reason), count)
        self._grow(pool, POOL_ACQUIRE, place, *pool.acquire.counts, pool.acquire.total)

    def _clients(self, server: ServerView) -> None:
        active = min(server.in_flight, server.open)
        self._add(IN_FLIGHT, (), server.in_flight)
        self._add(CONNECTIONS, ("active",), active)
        self._add(CONNECTIONS, ("idle",), server.open - active)
        self._grow(server, ACCEPTED, (), server.accepted)
        for reason, count in server.closed.items():
            self._grow(server, CLOSED, (reason,), count)

    def _own_process(self) -> None:
        for collector in self._process:
            for metric in collector.collect():
                for sample in metric.samples:
                    names = tuple(sorted(sample.labels))
                    family = Family(
                        metric.name,
                        "counter" if metric.type == "counter" else "gauge",
                        metric.documentation,
                        names,
                        merge="min" if metric.name == _STARTED else "sum",
                    )
                    labels = tuple(sample.labels[name] for name in names)
                    if family.kind == "counter":
                        self._grow(collector, family, labels, sample.value)
                    else:
                        self._add(family, labels, sample.value)

    def _add(self, family: Family, labels: tuple[str, ...], value: float) -> None:
        key = (family, labels)
        self._levels[key] = self._levels.get(key, 0.0) + value

    def _grow(self, source: object, family: Family, labels: tuple[str, ...], *now: float) -> None:
        """Add what a source has counted since it was last asked."""
        self._asked.add(id(source))
        _, told = self._told.setdefault(id(source), (source, {}))
        row = self._ledger.open(family, labels)
        before = told.get((family, labels))
        for place, value in enumerate(now):
            row[place] += value - before[place] if before else value
        told[family, labels] = list(now)
