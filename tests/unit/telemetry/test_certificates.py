"""Until when certificates are good."""

from __future__ import annotations

from math import isnan

from proxy.telemetry.certificates import CertificateDates
from tests.unit.policies.world import Journal

NAME = "sidegate_tls_certificate_expiry_timestamp_seconds"


def test_the_certificates_in_use_are_told_and_no_others() -> None:
    journal = Journal()
    dates = CertificateDates(journal)
    dates.show([("a.example", 1000.0), ("b.example", 2000.0)])
    dates.show([("b.example", 3000.0), ("c.example", 4000.0)])
    told = {
        name: level.value
        for (metric, name), level in journal.gauges.items()
        if metric == NAME and not isnan(level.value)
    }
    assert told == {"b.example": 3000.0, "c.example": 4000.0}
