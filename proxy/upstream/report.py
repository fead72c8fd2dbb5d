"""What becomes of endpoints, as metrics and log lines.

May live here: names, labels and words. Must not live here: any decision.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from proxy.contract import Gauge
from proxy.upstream.means import Means
from proxy.upstream.member import Member, Seat


class Report:
    """Tells of one upstream."""

    def __init__(self, upstream: str, means: Means) -> None:
        self._upstream = upstream
        self._metrics = means.metrics
        self._log = means.log
        self._up: dict[str, Gauge] = {}

    def show(self, seats: Iterable[Seat], panic: bool) -> None:
        """These seats are there now."""
        names = set()
        for seat in seats:
            names.add(seat.name)
            gauge = self._up.get(seat.name)
            if gauge is None:
                gauge = self._up[seat.name] = self._metrics.gauge(
                    "sidegate_upstream_endpoint_up",
                    "Whether an endpoint is used: 1, or 0 while it is unhealthy or ejected.",
                    "min",
                    upstream=self._upstream,
                    endpoint=seat.name,
                )
            gauge.set(1.0 if seat.member.usable else 0.0)
        for name in self._up.keys() - names:
            self._up.pop(name).clear()
        self._panic().set(1.0 if panic else 0.0)

    def end(self) -> None:
        """Another tells of this upstream, or nobody."""
        self.show((), False)
        self._panic().clear()

    def checked(self, member: Member, good: bool) -> None:
        """An active check ended."""
        self._metrics.counter(
            "sidegate_upstream_health_checks_total",
            "Active checks of endpoints.",
            upstream=self._upstream,
            endpoint=member.endpoint.text,
            result="good" if good else "bad",
        ).inc()

    def health(self, member: Member) -> None:
        """Checks changed their mind about an endpoint."""
        facts = {"upstream": self._upstream, "endpoint": member.endpoint.text}
        if member.health.usable:
            self._log.info("endpoint is healthy", **facts)
        else:
            self._log.warning("endpoint is unhealthy", cause=member.health.cause, **facts)

    def ejected(self, member: Member, reason: str, seconds: float) -> None:
        """An endpoint gave itself away."""
        self._metrics.counter(
            "sidegate_upstream_ejections_total",
            "Endpoints taken out of use for a while, by what gave them away.",
            upstream=self._upstream,
            endpoint=member.endpoint.text,
            reason=reason,
        ).inc()
        self._log.warning(
            "endpoint ejected",
            upstream=self._upstream,
            endpoint=member.endpoint.text,
            reason=reason,
            seconds=seconds,
        )

    def returned(self, member: Member) -> None:
        """An ejection is over."""
        self._log.info(
            "endpoint back in use", upstream=self._upstream, endpoint=member.endpoint.text
        )

    def _panic(self) -> Gauge:
        return self._metrics.gauge(
            "sidegate_upstream_panic",
            "Whether all endpoints are used because too few are usable.",
            "max",
            upstream=self._upstream,
        )


def endpoint_facts(member: Member, now: float) -> dict[str, Any]:
    """What an operator is told of an endpoint. now: monotonic seconds."""
    pool, health, ejection = member.pool, member.health, member.ejection
    return {
        "upstream": pool.upstream,
        "endpoint": pool.endpoint,
        "health": health.state if health.usable else f"unhealthy: {health.cause}",
        "ejection": ejection.state,
        "ejected_for": 0.0 if ejection.usable else round(max(0.0, ejection.until - now), 1),
        "ejections": ejection.count,
        "size": pool.size,
        "overflow": pool.overflow,
        "in_use": pool.in_use,
        "idle": pool.idle,
        "tunnels": pool.tunnels,
        "waiting": pool.waiting,
        "opened": pool.opened,
        "closed": dict(pool.closed),
        "retries": dict(pool.retries),
    }
