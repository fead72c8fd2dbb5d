"""The state of all counts at one moment, fit to be read in another thread.

May live here: what is exported, as values, and what is asked of those who keep counts of
their own. Route cells and histograms are shared with the event loop that writes them: a
reader may see a count without its sum, which the next scrape sets right, and copies every
dictionary before it walks through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from proxy.cells import Count, Histogram
from proxy.telemetry.route_cells import RouteCells


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


@dataclass(slots=True)
class PoolCounts:
    """The counts of all pools to one endpoint: after a reload there may be two for a while."""

    in_use: int = 0
    idle: int = 0
    waiting: int = 0
    capacity: int = 0
    opened: int = 0
    closed: dict[str, int] = field(default_factory=dict)
    retries: dict[str, int] = field(default_factory=dict)
    acquire: Histogram = field(default_factory=Histogram)


class ServerCounts(NamedTuple):
    """The counts of a `ServerView`."""

    open: int
    accepted: int
    in_flight: int
    closed: dict[str, int]


class Reloads(NamedTuple):
    """What became of configurations. digest, age: of the one in use; seconds."""

    succeeded: int = 0
    rejected: int = 0
    digest: str = ""
    age: float = 0.0


NO_RELOADS = Reloads()


@dataclass(frozen=True, slots=True)
class CustomCounter:
    """A counter that a policy asked for: its labels' names, and cells by their values."""

    documentation: str
    labels: tuple[str, ...]
    cells: dict[tuple[str, ...], Count]

    def copy(self) -> CustomCounter:
        """The same cells in a dictionary of its own."""
        return CustomCounter(self.documentation, self.labels, self.cells.copy())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is exported.

    errors: by `(code,)`. refusals: by `(policy, code, mode)`. pools: by `(upstream,
    endpoint)`. dropped: log lines.
    """

    routes: dict[str, RouteCells] = field(default_factory=dict)
    upstreams: dict[str, Histogram] = field(default_factory=dict)
    errors: dict[tuple[str, ...], int] = field(default_factory=dict)
    refusals: dict[tuple[str, ...], int] = field(default_factory=dict)
    custom: dict[str, CustomCounter] = field(default_factory=dict)
    pools: dict[tuple[str, str], PoolCounts] = field(default_factory=dict)
    server: ServerCounts | None = None
    reloads: Reloads = NO_RELOADS
    dropped: int = 0
    lag: Histogram = field(default_factory=Histogram)


def copy_server(view: ServerView | None) -> ServerCounts | None:
    """The present counts of the listeners."""
    if view is None:
        return None
    return ServerCounts(view.open, view.accepted, view.in_flight, dict(view.closed))


def copy_pools(views: Iterable[PoolView]) -> dict[tuple[str, str], PoolCounts]:
    """The present counts of the pools, summed by upstream and endpoint."""
    pools: dict[tuple[str, str], PoolCounts] = {}
    for view in views:
        counts = pools.setdefault((view.upstream, view.endpoint), PoolCounts())
        counts.in_use += view.in_use
        counts.idle += view.idle
        counts.waiting += view.waiting
        counts.capacity += view.size + view.overflow
        counts.opened += view.opened
        _add(counts.closed, view.closed)
        _add(counts.retries, view.retries)
        counts.acquire.merge(view.acquire)
    return pools


def _add(sums: dict[str, int], counts: Mapping[str, int]) -> None:
    for key, count in counts.items():
        sums[key] = sums.get(key, 0) + count
