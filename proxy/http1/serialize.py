"""Heads of responses that have no body, as bytes. What goes in was decided elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.http1.status import STATUS_LINES


def response_head(status: int, lines: Iterable[bytes]) -> bytes:
    """Status line, field lines, and the empty line."""
    return b"\r\n".join((STATUS_LINES[status], *lines, b"", b""))
