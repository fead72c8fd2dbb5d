"""Status lines. Reasons are Sidegate's own: an upstream's could hold anything."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

REASONS: Final[dict[int, str]] = {status.value: status.phrase for status in HTTPStatus}

STATUS_LINES: Final[tuple[bytes, ...]] = tuple(
    f"HTTP/1.1 {code} {REASONS.get(code, 'Unknown')}".encode() for code in range(600)
)
"""The status line of each code, without its end, by the code."""
