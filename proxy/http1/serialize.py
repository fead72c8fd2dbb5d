"""Heads as bytes, each in one join. What goes in was decided elsewhere."""

from __future__ import annotations

from proxy.http1.headers import Field
from proxy.http1.status import STATUS_LINES

# Joining pairs through map costs 0.08 µs a field; formatting each costs 0.10 to 0.13.
_pair = b": ".join


def response_head(status: int, fields: list[Field], tail: bytes) -> bytes:
    """Status line and fields; `tail` holds more finished lines and the empty line's CRLF."""
    if not fields:
        return STATUS_LINES[status] + tail
    return STATUS_LINES[status] + b"\r\n".join(map(_pair, fields)) + b"\r\n" + tail


def request_head(line: bytes, fields: list[Field], tail: bytes) -> bytes:
    """Request line and fields; `line` and `tail` end with CRLF."""
    if not fields:
        return line + tail
    return line + b"\r\n".join(map(_pair, fields)) + b"\r\n" + tail
