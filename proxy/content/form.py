"""Pairs of names and values: queries, forms as browsers send them, cookies. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

Pair = tuple[str, str]

_ESCAPED: Final = re.compile(r"[%+]").search


def read_pairs(text: str) -> list[Pair]:
    """Decoded pairs of `a=b&c=d` in order (WHATWG URL, 5.1).

    All of them: who reads fewer than the service does overlooks what stands behind. Bytes that
    are no UTF-8 become replacement characters.
    """
    pairs: list[Pair] = []
    for part in text.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((decode_part(name), decode_part(value)))
    return pairs


def decode_part(text: str) -> str:
    """A name or value with plus signs as blanks and percent-encoding undone."""
    if _ESCAPED(text) is None:
        return text
    raw = text.replace("+", " ").encode("utf-8", "surrogateescape")
    return unquote_to_bytes(raw).decode("utf-8", "replace")


def read_cookies(text: str) -> list[Pair]:
    """Pairs of a Cookie value as they are written (RFC 6265, 4.2.1)."""
    pairs: list[Pair] = []
    for part in text.split(";"):
        name, _, value = part.partition("=")
        pairs.append((name.strip(), value.strip().strip('"')))
    return pairs
