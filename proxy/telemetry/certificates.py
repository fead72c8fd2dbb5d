"""Until when the certificates of the listeners are good, as a metric."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.contract import Gauge, Metrics


class CertificateDates:
    """The dates of the certificates in use; those of others are told no more."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._shown: dict[str, Gauge] = {}

    def show(self, certificates: Iterable[tuple[str, float]]) -> None:
        """Tell these: a name that each is for, and when it expires, seconds since 1970."""
        before, self._shown = self._shown, {}
        for name, expires in certificates:
            gauge = self._shown[name] = self._metrics.gauge(
                "sidegate_tls_certificate_expiry_timestamp_seconds",
                "When a certificate of the listeners expires, in seconds since 1970.",
                "min",
                certificate=name,
            )
            gauge.set(expires)
        for name, gauge in before.items():
            if name not in self._shown:
                gauge.clear()
