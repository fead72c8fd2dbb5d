"""Heads as bytes, each in one join. What goes in was decided elsewhere."""

from __future__ import annotations

from proxy.http1.status import STATUS_LINES


def response_head(status: int, lines: list[bytes], tail: bytes) -> bytes:
    """Status line and field lines; `tail` holds more finished lines and the empty line's CRLF."""
    return b"\r\n".join((STATUS_LINES[status], *lines, tail))


def request_head(line: bytes, lines: list[bytes], tail: bytes) -> bytes:
    """Request line and field lines, without line ends; `tail` holds more lines with theirs."""
    return b"\r\n".join((line, *lines, tail))
