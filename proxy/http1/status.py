"""Status lines, and sets of statuses as a person writes them.

Reasons are Sidegate's own: an upstream's could hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

REASONS: Final[dict[int, str]] = {status.value: status.phrase for status in HTTPStatus}

STATUS_LINES: Final[tuple[bytes, ...]] = tuple(
    f"HTTP/1.1 {code} {REASONS.get(code, 'Unknown')}".encode() for code in range(600)
)
"""The status line of each code, without its end, by the code."""

_WRITTEN: Final = re.compile(r"[2-5]xx|[2-5][0-9][0-9]")


def check_status(text: str) -> str:
    """A status such as `503`, or a class such as `5xx`. Raises ValueError, which names the fix."""
    if _WRITTEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no status; write 503 or 5xx")
    return text


def read_statuses(texts: Iterable[str]) -> frozenset[int]:
    """The statuses that texts such as `503` and `5xx` name together."""
    chosen = set(texts)
    return frozenset(
        status
        for status in range(200, 600)
        if str(status) in chosen or f"{status // 100}xx" in chosen
    )
