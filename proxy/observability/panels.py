"""What an operator looks at, in the order of the questions. Pure.

May live here: which panels there are, and what each asks. Must not live here: how a dashboard
is written down (`dashboard`). Every expression is made from the metric catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.observability.query import level, quantile, rate, ratio, selector
from proxy.observability.recording import FAILED, HIT
from proxy.telemetry.catalogue import (
    BUILD,
    CONFIG_AGE,
    CONNECTIONS,
    DURATION,
    ERRORS,
    IN_FLIGHT,
    LAG,
    LOG_DROPPED,
    OVERHEAD,
    POOL_ACQUIRE,
    POOL_CAPACITY,
    POOL_CONNECTIONS,
    POOL_WAITERS,
    RECEIVED,
    REFUSALS,
    RELOADS,
    REQUESTS,
    SENT,
    UPSTREAM_DURATION,
    Family,
)
from proxy.telemetry.features import (
    BREAKER,
    CACHE_BYTES,
    CACHE_LIMIT,
    CACHE_REQUESTS,
    CACHE_SAVED,
    CERTIFICATE_EXPIRY,
    EJECTIONS,
    ENDPOINT_UP,
    HEALTH_CHECKS,
    LIMITED,
    PROCESS_CPU,
    PROCESS_MEMORY,
    REPEATS,
    SPANS,
    UNCHECKED,
    WORKER_RESTARTS,
)

_WINDOW: Final = "$__rate_interval"
_CHOSEN: Final = {"job": "~$job", "instance": "~$instance"}


class Question(NamedTuple):
    """One expression of a panel, and the name of its lines."""

    expression: str
    legend: str = "__auto"


class Panel(NamedTuple):
    """What a panel shows. unit: by Grafana's names. width: of 24."""

    title: str
    description: str
    unit: str
    questions: Sequence[Question]
    kind: str = "timeseries"
    width: int = 8


class Row(NamedTuple):
    """Panels that belong together."""

    title: str
    panels: Sequence[Panel]


def _lines(family: Family, by: str, **match: str) -> Question:
    return Question(rate(family, _WINDOW, (by,), **match, **_CHOSEN), f"{{{{{by}}}}}")


_ALL: Final = rate(REQUESTS, _WINDOW, ("job",), **_CHOSEN)
_FAILED: Final = rate(REQUESTS, _WINDOW, ("job",), code=FAILED, **_CHOSEN)

ROWS: Final = (
    Row(
        "Traffic",
        (
            Panel(
                "Requests",
                "Requests that ended, a second, by route; `none` for those without a route.",
                "reqps",
                [_lines(REQUESTS, "route")],
            ),
            Panel(
                "Failures",
                "Share of requests answered with 500 and above.",
                "percentunit",
                [Question(ratio(_FAILED, _ALL), "{{job}}")],
            ),
            Panel(
                "Latency",
                "From a request's head to the end of its response.",
                "s",
                [
                    Question(quantile(share, DURATION, _WINDOW, ("job",), **_CHOSEN), name)
                    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
                ],
            ),
            Panel(
                "Slowest routes",
                "95 % of a route's requests are faster.",
                "s",
                [
                    Question(
                        f"topk(10, {quantile(0.95, DURATION, _WINDOW, ('route',), **_CHOSEN)})",
                        "{{route}}",
                    )
                ],
            ),
            Panel(
                "Sidegate's own share",
                "Duration without the wait for the upstream: 95 % are below.",
                "s",
                [Question(quantile(0.95, OVERHEAD, _WINDOW, ("route",), **_CHOSEN), "{{route}}")],
            ),
            Panel(
                "Statuses",
                "Requests a second by the status sent; 0 when the client left before one.",
                "reqps",
                [_lines(REQUESTS, "code")],
            ),
            Panel(
                "In flight",
                "Requests being answered, and client connections.",
                "short",
                [
                    Question(level(IN_FLIGHT, ("job",), **_CHOSEN), "requests"),
                    Question(level(CONNECTIONS, ("state",), **_CHOSEN), "connections {{state}}"),
                ],
            ),
            Panel(
                "Bytes",
                "Received from clients and sent to them, a second.",
                "Bps",
                [
                    Question(rate(RECEIVED, _WINDOW, ("job",), **_CHOSEN), "received"),
                    Question(rate(SENT, _WINDOW, ("job",), **_CHOSEN), "sent"),
                ],
            ),
            Panel(
                "Versions",
                "What runs, and on which Python.",
                "short",
                [
                    Question(
                        f"count by (version, python) ({selector(BUILD, **_CHOSEN)})",
                        "{{version}} on {{python}}",
                    )
                ],
                kind="stat",
            ),
        ),
    ),
    Row(
        "Errors",
        (
            Panel(
                "Refusals",
                "Requests a second that a policy refused, or in shadow mode would have refused.",
                "reqps",
                [
                    Question(
                        rate(REFUSALS, _WINDOW, ("policy", "code", "mode"), **_CHOSEN),
                        "{{policy}} {{code}} {{mode}}",
                    )
                ],
                width=12,
            ),
            Panel(
                "Errors of Sidegate",
                "Requests a second that Sidegate answered with an error, by its code.",
                "reqps",
                [_lines(ERRORS, "code")],
                width=12,
            ),
        ),
    ),
    Row(
        "Upstreams",
        (
            Panel(
                "Time to the response's head",
                "From the policies' consent on: 95 % are below.",
                "s",
                [
                    Question(
                        quantile(0.95, UPSTREAM_DURATION, _WINDOW, ("upstream",), **_CHOSEN),
                        "{{upstream}}",
                    )
                ],
            ),
            Panel(
                "Pool in use",
                "Share of the connections that an endpoint may have.",
                "percentunit",
                [
                    Question(
                        level(POOL_CONNECTIONS, ("upstream", "endpoint"), state="in_use", **_CHOSEN)
                        + " / "
                        + level(POOL_CAPACITY, ("upstream", "endpoint"), **_CHOSEN),
                        "{{endpoint}}",
                    )
                ],
            ),
            Panel(
                "Waits for a connection",
                "Requests that wait, and how long 95 % of them at most.",
                "short",
                [
                    Question(level(POOL_WAITERS, ("upstream",), **_CHOSEN), "{{upstream}} waiting"),
                    Question(
                        quantile(0.95, POOL_ACQUIRE, _WINDOW, ("upstream",), **_CHOSEN),
                        "{{upstream}} seconds",
                    ),
                ],
            ),
            Panel(
                "Endpoints in use",
                "1, or 0 while an endpoint is unhealthy or ejected.",
                "short",
                [
                    Question(
                        level(ENDPOINT_UP, ("upstream", "endpoint"), "min", **_CHOSEN),
                        "{{endpoint}}",
                    )
                ],
            ),
            Panel(
                "Checks, ejections and retries",
                "Health checks that failed, endpoints taken out of use, requests sent once more; "
                "a second.",
                "ops",
                [
                    Question(
                        rate(HEALTH_CHECKS, _WINDOW, ("endpoint", "result"), **_CHOSEN),
                        "check {{result}} {{endpoint}}",
                    ),
                    Question(
                        rate(EJECTIONS, _WINDOW, ("endpoint", "reason"), **_CHOSEN),
                        "ejected {{endpoint}} {{reason}}",
                    ),
                    Question(
                        rate(REPEATS, _WINDOW, ("upstream", "reason"), **_CHOSEN),
                        "retry {{upstream}} {{reason}}",
                    ),
                ],
            ),
            Panel(
                "Circuit breakers",
                "0 closed, 0.5 half open, 1 open.",
                "short",
                [
                    Question(
                        level(BREAKER, ("upstream", "endpoint"), "max", **_CHOSEN),
                        "{{upstream}} {{endpoint}}",
                    )
                ],
            ),
        ),
    ),
    Row(
        "Cache and limits",
        (
            Panel(
                "Cache hits",
                "Share of the requests that the cache answered without asking the service.",
                "percentunit",
                [
                    Question(
                        ratio(
                            rate(CACHE_REQUESTS, _WINDOW, ("route",), outcome=HIT, **_CHOSEN),
                            rate(CACHE_REQUESTS, _WINDOW, ("route",), **_CHOSEN),
                        ),
                        "{{route}}",
                    )
                ],
            ),
            Panel(
                "Cache",
                "Requests a second, by what the cache did with them.",
                "reqps",
                [_lines(CACHE_REQUESTS, "outcome")],
            ),
            Panel(
                "Cache memory",
                "Bytes kept, and the most that may be.",
                "bytes",
                [
                    Question(level(CACHE_BYTES, ("instance",), **_CHOSEN), "kept"),
                    Question(level(CACHE_LIMIT, ("instance",), **_CHOSEN), "limit"),
                ],
            ),
            Panel(
                "Time saved",
                "Seconds of waiting for services that the cache saved, a second.",
                "s",
                [_lines(CACHE_SAVED, "route")],
            ),
            Panel(
                "Rate limits",
                "Requests a second that limits decided about.",
                "reqps",
                [_lines(LIMITED, "outcome")],
            ),
            Panel(
                "Limits without their store",
                "Requests a second whose limits the store wasn't asked about, by what happened "
                "instead.",
                "reqps",
                [_lines(UNCHECKED, "instead")],
            ),
        ),
    ),
    Row(
        "Process",
        (
            Panel(
                "CPU",
                "Cores in use.",
                "short",
                [Question(rate(PROCESS_CPU, _WINDOW, ("instance",), **_CHOSEN), "{{instance}}")],
            ),
            Panel(
                "Memory",
                "Resident, all workers together.",
                "bytes",
                [Question(level(PROCESS_MEMORY, ("instance",), **_CHOSEN), "{{instance}}")],
            ),
            Panel(
                "Event loop",
                "How late timers come: 99 % are below. Above some milliseconds there is too "
                "little CPU.",
                "s",
                [Question(quantile(0.99, LAG, _WINDOW, ("instance",), **_CHOSEN), "{{instance}}")],
            ),
            Panel(
                "Telemetry lost and sent",
                "Log lines that were lost, and spans by what became of them, a second.",
                "ops",
                [
                    Question(rate(LOG_DROPPED, _WINDOW, ("job",), **_CHOSEN), "lines lost"),
                    Question(rate(SPANS, _WINDOW, ("outcome",), **_CHOSEN), "spans {{outcome}}"),
                ],
            ),
            Panel(
                "Certificates",
                "Seconds until a certificate of the listeners expires.",
                "s",
                [
                    Question(
                        level(CERTIFICATE_EXPIRY, ("certificate",), "min", **_CHOSEN) + " - time()",
                        "{{certificate}}",
                    )
                ],
                kind="stat",
            ),
            Panel(
                "Configuration",
                "Seconds since the one in use was taken.",
                "s",
                [Question(selector(CONFIG_AGE, **_CHOSEN), "{{instance}}")],
                kind="stat",
            ),
            Panel(
                "Reloads and restarts",
                "Configurations taken or turned down, and workers that ended; in an hour.",
                "short",
                [
                    Question(
                        f"sum by (result) (increase({selector(RELOADS, **_CHOSEN)}[1h]))",
                        "reload {{result}}",
                    ),
                    Question(
                        f"sum(increase({selector(WORKER_RESTARTS, **_CHOSEN)}[1h]))", "restarts"
                    ),
                ],
            ),
        ),
    ),
)
