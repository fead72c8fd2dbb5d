"""The present as text."""

from __future__ import annotations

import pytest

from proxy.timestamp import make_timestamp


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1795521845.0, "2026-11-24T12:04:05.000Z"),
        (1795521845.9996, "2026-11-24T12:04:05.999Z"),
        (1795521845.25, "2026-11-24T12:04:05.250Z"),
    ],
)
def test_it_is_utc_with_milliseconds_cut_off(now: float, text: str) -> None:
    assert make_timestamp(lambda: now)() == text


def test_it_follows_the_clock_forwards_and_back() -> None:
    moments = iter([10.001, 10.001, 10.002, 9.5])
    timestamp = make_timestamp(lambda: next(moments))
    assert [timestamp()[17:] for _ in range(4)] == ["10.001Z", "10.001Z", "10.002Z", "09.500Z"]
