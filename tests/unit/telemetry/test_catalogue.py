"""Names of the exported metrics, which dashboards rely on."""

from __future__ import annotations

import re

from proxy.telemetry.catalogue import FAMILIES, NAMES


def test_the_names_are_a_promise() -> None:
    assert sorted(NAMES) == [
        "sidegate_build",
        "sidegate_config",
        "sidegate_config_age_seconds",
        "sidegate_config_reloads",
        "sidegate_connections",
        "sidegate_connections_accepted",
        "sidegate_connections_closed",
        "sidegate_errors",
        "sidegate_event_loop_lag_seconds",
        "sidegate_log_dropped",
        "sidegate_refusals",
        "sidegate_request_bytes",
        "sidegate_request_duration_seconds",
        "sidegate_request_overhead_seconds",
        "sidegate_requests",
        "sidegate_requests_in_flight",
        "sidegate_response_bytes",
        "sidegate_upstream_duration_seconds",
        "sidegate_upstream_pool_acquire_seconds",
        "sidegate_upstream_pool_capacity",
        "sidegate_upstream_pool_closed",
        "sidegate_upstream_pool_connections",
        "sidegate_upstream_pool_opened",
        "sidegate_upstream_pool_waiters",
        "sidegate_upstream_retries",
    ]


def test_every_metric_is_explained_in_a_sentence() -> None:
    for family in FAMILIES:
        assert re.fullmatch(r"[A-Z].*\.", family.documentation), family.name
