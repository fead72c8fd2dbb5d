"""Retry-After (RFC 9110, 10.2.3): how long somebody asks to be left alone."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime


def seconds_of(value: str | None, wall: float) -> float | None:
    """Seconds from a delay or a date; None when there is none that can be read.

    wall: seconds since 1970, UTC, by which a date is turned into a delay.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - wall)
