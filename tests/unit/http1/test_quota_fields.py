"""The fields that tell clients of their quota."""

from __future__ import annotations

from math import inf

import pytest

from proxy.http1.headers import Headers
from proxy.http1.quota_fields import (
    DraftFields,
    QuotaPolicy,
    QuotaState,
    describe_bucket,
    describe_window,
    seconds,
    write_legacy,
)


def test_the_draft_s_lists() -> None:
    fields = DraftFields(
        [
            QuotaPolicy("burst", 100, 60),
            QuotaPolicy("bytes", 1048576, 3600, "content-bytes"),
            QuotaPolicy("at once", 5, 0, "concurrent-requests"),
        ]
    )
    assert fields.policy == (
        b'"burst";q=100;w=60, "bytes";q=1048576;qu="content-bytes";w=3600, '
        b'"at once";q=5;qu="concurrent-requests"'
    )
    states = [QuotaState(0, 29.2), QuotaState(7, 0.0), QuotaState(2, 1.0)]
    assert fields.state(states) == b'"burst";r=0;t=30, "bytes";r=7;t=0, "at once";r=2'


def test_names_are_quoted_whatever_they_hold() -> None:
    fields = DraftFields([QuotaPolicy('50%s "a\\b"\r\né', 1, 1)])
    assert fields.state([QuotaState(1, 1.0)]) == b'"50%s \\"a\\\\b\\"???";r=1;t=1'


@pytest.mark.parametrize(
    ("burst", "full", "told"),
    [(100, 1.0, (100, 1)), (200, 2.0, (200, 2)), (150, 1.5, (150, 2)), (1, 0.01, (1, 1))],
)
def test_a_bucket_is_told_by_what_fills_it(burst: int, full: float, told: tuple[int, int]) -> None:
    policy = describe_bucket("b", burst, full)
    assert (policy.quota, policy.window) == told
    assert policy.quota / policy.window <= burst / full


@pytest.mark.parametrize(
    ("count", "period", "told"),
    [(5, 60.0, (5, 60)), (10, 0.5, (20, 1)), (1, 0.3, (3, 1)), (3, 1.5, (4, 2))],
)
def test_a_window_of_parts_of_a_second(count: int, period: float, told: tuple[int, int]) -> None:
    policy = describe_window("w", count, period)
    assert (policy.quota, policy.window) == told


def test_the_older_fields_tell_of_the_tightest() -> None:
    headers = Headers()
    policies = [QuotaPolicy("a", 100, 1), QuotaPolicy("b", 1000, 60)]
    write_legacy(headers, policies, [QuotaState(50, 0.5), QuotaState(100, 30.0)])
    assert list(headers.items()) == [
        ("x-ratelimit-limit", "1000"),
        ("x-ratelimit-remaining", "100"),
        ("x-ratelimit-reset", "30"),
    ]


@pytest.mark.parametrize(("duration", "whole"), [(0.0, 0), (0.1, 1), (5.0, 5), (inf, 10**15 - 1)])
def test_seconds_are_whole_and_never_too_few(duration: float, whole: int) -> None:
    assert seconds(duration) == whole
