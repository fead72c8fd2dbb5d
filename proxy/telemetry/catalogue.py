"""Every metric of Sidegate's own: its name, its kind, its labels, and what it tells.

May live here: what is exported (CONVENTIONS: prefix `sidegate_`, base units). Must not live
here: counting, or how text is made of it. Dashboards and alerts are made from these values,
so that none can name a metric that isn't there. Policies and plug-ins add families of their
own at run time.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from proxy.cells import DURATION_BUCKETS

Kind = Literal["counter", "gauge", "histogram", "info", "exemplars"]
Merge = Literal["sum", "max", "min"]

# Sidegate's own share of a request is far below the buckets for whole requests, in seconds.
OVERHEAD_BUCKETS: Final[tuple[float, ...]] = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
)  # fmt: skip


class Family(NamedTuple):
    """A metric with all its series.

    name: without `_total` or `_info`, which the exposition adds. labels: names, in the
    order in which series give their values. bounds: of a histogram. merge: what the values
    of several workers become together.
    """

    name: str
    kind: Kind
    documentation: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    merge: Merge = "sum"

    @property
    def size(self) -> int:
        """How many cells a series takes."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1

    @property
    def sample(self) -> str:
        """The name of the series that a query asks for; of a histogram, its stem."""
        return self.name + {"counter": "_total", "info": "_info"}.get(self.kind, "")


_PLACE: Final = ("upstream", "endpoint")

BUILD: Final = Family(
    "sidegate_build", "info", "Versions of what runs.", ("python", "version"), merge="max"
)
REQUESTS: Final = Family(
    "sidegate_requests",
    "counter",
    "Requests that ended, by the status sent; 0 when the client left before one.",
    ("route", "method", "code"),
)
DURATION: Final = Family(
    "sidegate_request_duration_seconds",
    "histogram",
    "From a request's head to the end of its response; of a tunnel, until it was open.",
    ("route",),
    DURATION_BUCKETS,
)
OVERHEAD: Final = Family(
    "sidegate_request_overhead_seconds",
    "histogram",
    "Sidegate's own share: the duration without the wait for the upstream's response head, and "
    "without that for a body that streams.",
    ("route",),
    OVERHEAD_BUCKETS,
)
RECEIVED: Final = Family(
    "sidegate_request_bytes", "counter", "Bytes received from clients.", ("route",)
)
SENT: Final = Family("sidegate_response_bytes", "counter", "Bytes sent to clients.", ("route",))
IN_FLIGHT: Final = Family("sidegate_requests_in_flight", "gauge", "Requests being answered.")
CONNECTIONS: Final = Family(
    "sidegate_connections",
    "gauge",
    "Client connections, with a request being answered (active) or without (idle).",
    ("state",),
)
ACCEPTED: Final = Family(
    "sidegate_connections_accepted", "counter", "Client connections that were accepted."
)
CLOSED: Final = Family(
    "sidegate_connections_closed", "counter", "Client connections that ended.", ("reason",)
)
UPSTREAM_DURATION: Final = Family(
    "sidegate_upstream_duration_seconds",
    "histogram",
    "From the policies' consent to the head of the upstream's response.",
    ("upstream",),
    DURATION_BUCKETS,
)
POOL_CONNECTIONS: Final = Family(
    "sidegate_upstream_pool_connections",
    "gauge",
    "Connections to an endpoint: idle, in use, or tunnels such as WebSockets.",
    (*_PLACE, "state"),
)
POOL_WAITERS: Final = Family(
    "sidegate_upstream_pool_waiters", "gauge", "Requests that wait for a connection.", _PLACE
)
POOL_CAPACITY: Final = Family(
    "sidegate_upstream_pool_capacity",
    "gauge",
    "Most connections to an endpoint, tunnels left out.",
    _PLACE,
)
POOL_OPENED: Final = Family(
    "sidegate_upstream_pool_opened", "counter", "Connections that were opened.", _PLACE
)
POOL_CLOSED: Final = Family(
    "sidegate_upstream_pool_closed", "counter", "Connections that ended.", (*_PLACE, "reason")
)
POOL_ACQUIRE: Final = Family(
    "sidegate_upstream_pool_acquire_seconds",
    "histogram",
    "Waits for a connection.",
    _PLACE,
    DURATION_BUCKETS,
)
RETRIES: Final = Family(
    "sidegate_upstream_retries",
    "counter",
    "Requests sent once more at once, as a kept-alive connection turned out to be dead.",
    ("upstream", "reason"),
)
REFUSALS: Final = Family(
    "sidegate_refusals",
    "counter",
    "Requests that a policy refused, or in shadow mode would have refused.",
    ("policy", "code", "mode"),
)
ERRORS: Final = Family(
    "sidegate_errors", "counter", "Requests answered with an error of Sidegate's.", ("code",)
)
RELOADS: Final = Family(
    "sidegate_config_reloads", "counter", "Configurations taken or turned down.", ("result",)
)
CONFIG: Final = Family(
    "sidegate_config", "info", "The configuration in use.", ("digest",), merge="max"
)
CONFIG_AGE: Final = Family(
    "sidegate_config_age_seconds",
    "gauge",
    "Time since the configuration in use was taken.",
    merge="max",
)
LOG_DROPPED: Final = Family(
    "sidegate_log_dropped", "counter", "Log lines lost because their reader was slow or gone."
)
LAG: Final = Family(
    "sidegate_event_loop_lag_seconds",
    "histogram",
    "How late timers of the event loop came.",
    bounds=DURATION_BUCKETS,
)

FAMILIES: Final = (
    BUILD, REQUESTS, DURATION, OVERHEAD, RECEIVED, SENT, IN_FLIGHT, CONNECTIONS, ACCEPTED, CLOSED,
    UPSTREAM_DURATION, POOL_CONNECTIONS, POOL_WAITERS, POOL_CAPACITY, POOL_OPENED, POOL_CLOSED,
    POOL_ACQUIRE, RETRIES, REFUSALS, ERRORS, RELOADS, CONFIG, CONFIG_AGE, LOG_DROPPED, LAG,
)  # fmt: skip
"""All of them, in the order in which they are shown."""

NAMES: Final = frozenset(family.name for family in FAMILIES)

EXEMPLARS: Final = Family(
    "exemplars", "exemplars", "The latest trace of each bucket of a route's durations.", ("route",)
)
"""Not exported by itself: what the buckets of `DURATION` are annotated with."""
