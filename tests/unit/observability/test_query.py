"""Expressions name what there is."""

from __future__ import annotations

import pytest

from proxy.observability.query import level, quantile, rate, ratio, selector
from proxy.telemetry.catalogue import BUILD, DURATION, IN_FLIGHT, REQUESTS


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (selector(REQUESTS), "sidegate_requests_total"),
        (
            selector(REQUESTS, code="~5..", route="!api", method="GET"),
            'sidegate_requests_total{code=~"5..",route!="api",method="GET"}',
        ),
        (selector(BUILD, job="a"), 'sidegate_build_info{job="a"}'),
        (
            rate(REQUESTS, "5m", ("job", "route")),
            "sum by (job, route) (rate(sidegate_requests_total[5m]))",
        ),
        (
            quantile(0.95, DURATION, "5m", ("route",)),
            "histogram_quantile(0.95, sum by (route, le) "
            "(rate(sidegate_request_duration_seconds_bucket[5m])))",
        ),
        (level(IN_FLIGHT, ("job",), "max"), "max by (job) (sidegate_requests_in_flight)"),
        (ratio("a", "b"), "(a or b * 0) / b"),
    ],
)
def test_expressions(expression: str, expected: str) -> None:
    assert expression == expected


def test_a_label_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="has no label 'host'"):
        selector(REQUESTS, host="a")
    with pytest.raises(ValueError, match="has no label 'path'"):
        rate(REQUESTS, "5m", ("path",))
    with pytest.raises(ValueError, match="has no label 'method'"):
        quantile(0.5, DURATION, "5m", ("method",))
    with pytest.raises(ValueError, match="has no label 'route'"):
        level(IN_FLIGHT, ("route",))


def test_only_histograms_have_quantiles() -> None:
    with pytest.raises(ValueError, match="no histogram"):
        quantile(0.5, REQUESTS, "5m")
