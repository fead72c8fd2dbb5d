"""Retry-After by RFC 9110, 10.2.3."""

from __future__ import annotations

import pytest

from proxy.http1.retry_after import seconds_of

WALL = 1795446245.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("9" * 40, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Mon, 23 Nov 2026 15:04:35 GMT", 30.0),
        ("Mon, 23 Nov 2026 15:04:35", 30.0),
        ("Mon, 23 Nov 2020 15:04:35 GMT", 0.0),
    ],
)
def test_seconds(value: str | None, seconds: float | None) -> None:
    assert seconds_of(value, WALL) == seconds
