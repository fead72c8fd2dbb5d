"""Alert rules: what somebody has to look at, and what it means. Pure.

May live here: conditions, how long they hold before anybody is told, and words. Severities:
`page` for what users notice now, `ticket` for what they will notice if nobody acts.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from proxy.observability.query import quantile, rate, selector
from proxy.observability.recording import ERROR_RATIOS, LATENCIES, POOL_USE, REQUEST_RATE
from proxy.telemetry.catalogue import LAG, LOG_DROPPED, REFUSALS, RELOADS
from proxy.telemetry.features import (
    BREAKER,
    CERTIFICATE_EXPIRY,
    ENDPOINT_UP,
    PANIC,
    SPANS,
    UNCHECKED,
    WORKER_RESTARTS,
)

Severity = Literal["page", "ticket"]

# Burn rates of Google's SRE workbook, chapter 5: so many times as fast as the budget of 30
# days allows, over a long window and a short one, so that an alert ends soon after its cause.
_BURN_RATES: Final[tuple[tuple[str, str, float, Severity], ...]] = (
    ("1h", "5m", 14.4, "page"),
    ("6h", "30m", 6.0, "ticket"),
)
_EXPIRING: Final[tuple[tuple[str, int, Severity], ...]] = (
    ("Soon", 14, "ticket"),
    ("Now", 2, "page"),
)
# Below so many requests a second one failure is a large share.
_QUIET: Final = 0.05


class Alert(NamedTuple):
    """A rule. wait: how long the condition holds before anybody is told."""

    name: str
    severity: Severity
    expression: str
    wait: str
    summary: str
    description: str

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.wait,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "description": self.description},
        }


def make_alerts(objective: float, latency: float) -> tuple[Alert, ...]:
    """The rules. objective: percent of requests that must not fail. latency: seconds that 95 %
    of a route's requests must stay under."""
    budget = (100.0 - objective) / 100.0
    return (
        *(
            Alert(
                f"SidegateErrorBudgetBurn{long}",
                severity,
                f"{ERROR_RATIOS[long].name} > {burn * budget:.6g}"
                f" and {ERROR_RATIOS[short].name} > {burn * budget:.6g}"
                f" and {REQUEST_RATE.name} > {_QUIET}",
                "2m",
                "Route {{ $labels.route }} fails too often",
                f"{{{{ $value | humanizePercentage }}}} of its requests over {long} failed, "
                f"{burn:g} times what an objective of {objective:g} % allows. See the panels "
                "Errors and Upstreams, and log lines of this route with a status of 500 and above.",
            )
            for long, short, burn, severity in _BURN_RATES
        ),
        Alert(
            "SidegateSlow",
            "ticket",
            f"{LATENCIES['p95'].name} > {latency:g} and {REQUEST_RATE.name} > {_QUIET}",
            "10m",
            "Route {{ $labels.route }} is slow",
            "5 % of its requests take more than {{ $value | humanizeDuration }}. Log lines tell "
            "policy_ms, connect_ms and upstream_ms apart.",
        ),
        Alert(
            "SidegatePoolNearlyFull",
            "ticket",
            f"{POOL_USE.name} > 0.8",
            "5m",
            "The pool to {{ $labels.endpoint }} is {{ $value | humanizePercentage }} in use",
            "At 100 % requests wait, and then get 503 pool_exhausted. The service is slow, or "
            "pool.size and pool.overflow of upstream {{ $labels.upstream }} are too small.",
        ),
        Alert(
            "SidegateBreakerOpen",
            "page",
            # Also while it is half open: a breaker that probes in vain is at 0.5 now and then.
            f"{selector(BREAKER)} > 0",
            "1m",
            "The circuit to {{ $labels.upstream }} is open",
            "Its service fails or is too slow, and isn't asked for now: requests get 503, or what "
            "the breaker's fallback says. Endpoint: {{ $labels.endpoint }}.",
        ),
        Alert(
            "SidegateEndpointDown",
            "ticket",
            f"{selector(ENDPOINT_UP)} == 0",
            "5m",
            "Endpoint {{ $labels.endpoint }} is out of use",
            "It fails its health checks, or gave itself away by its answers.",
        ),
        Alert(
            "SidegateUpstreamPanic",
            "page",
            f"{selector(PANIC)} == 1",
            "1m",
            "Too few endpoints of {{ $labels.upstream }} are usable",
            "All of them are asked, the bad ones included, since the good ones couldn't carry it.",
        ),
        Alert(
            "SidegateLimiterDegraded",
            "ticket",
            f"({rate(UNCHECKED, '5m', ('job', 'policy', 'instead'))} or label_replace("
            f"{rate(REFUSALS, '5m', ('job', 'policy'), code='limit_unavailable')}, "
            '"instead", "closed", "", "")) > 0',
            "5m",
            "Limits of {{ $labels.policy }} are not shared",
            "The store can't be reached. What happens instead: {{ $labels.instead }} (open: nobody "
            "counts; local: each instance counts for itself; closed: requests are refused).",
        ),
        *(
            Alert(
                f"SidegateCertificateExpires{name}",
                severity,
                f"{selector(CERTIFICATE_EXPIRY)} - time() < {days} * 86400",
                "10m",
                "The certificate of {{ $labels.certificate }} expires in "
                "{{ $value | humanizeDuration }}",
                "Clients won't connect then. Put another into its files; they are read again "
                "when they change.",
            )
            for name, days, severity in _EXPIRING
        ),
        Alert(
            "SidegateConfigReloadFailed",
            "ticket",
            f"increase({selector(RELOADS, result='failure')}[15m]) > 0",
            "0m",
            "A configuration was turned down",
            "The one before it goes on serving. The log and GET / of the admin port say why.",
        ),
        Alert(
            "SidegateEventLoopLags",
            "ticket",
            f"{quantile(0.99, LAG, '5m', ('job', 'instance'))} > 0.25",
            "10m",
            "{{ $labels.instance }} is overloaded",
            "Its timers come {{ $value | humanizeDuration }} late: it has too little CPU, or "
            "something in it blocks. Give it more workers or replicas.",
        ),
        Alert(
            "SidegateWorkersEnd",
            "page",
            f"increase({selector(WORKER_RESTARTS)}[15m]) > 2",
            "0m",
            "Workers of {{ $labels.instance }} end again and again",
            "The log says how each ended, in lines of the event 'worker ended'.",
        ),
        Alert(
            "SidegateLogLinesLost",
            "ticket",
            f"{rate(LOG_DROPPED, '10m', ('job', 'instance'))} > 0",
            "10m",
            "{{ $labels.instance }} loses log lines",
            "Whoever reads its log is too slow or gone.",
        ),
        Alert(
            "SidegateSpansLost",
            "ticket",
            f"{rate(SPANS, '10m', ('job', 'instance'), outcome='!exported')} > 0",
            "15m",
            "{{ $labels.instance }} loses spans",
            "The collector of telemetry.tracing.endpoint is down, refuses them or is too slow.",
        ),
    )
