"""Entity tags and how they compare (RFC 9110, 8.8.3). Pure.

A tag is kept as it was written. One without quotes is no tag by the RFC, but services send
them, and what is the same text is the same tag.
"""

from __future__ import annotations

import re
from typing import Final, Literal

_TAGS: Final = re.compile(rb'[ \t,]*((?:W/)?"[^"]*"|[^," \t][^,]*)')


def read_tags(value: bytes) -> list[bytes] | Literal["*"]:
    """The tags of an If-None-Match value, or `*`."""
    if value.strip(b" \t") == b"*":
        return "*"
    return [found.rstrip(b" \t") for found in _TAGS.findall(value)]


def weak(tag: bytes) -> bool:
    """It promises the same meaning, not the same bytes."""
    return tag.startswith(b"W/")


def match_weakly(one: bytes, other: bytes) -> bool:
    """Both name the same meaning (RFC 9110, 8.8.3.2)."""
    return one.removeprefix(b"W/") == other.removeprefix(b"W/")


def match_strongly(one: bytes, other: bytes) -> bool:
    """Both name the same bytes."""
    return one == other and not weak(one)
