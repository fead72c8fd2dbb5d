"""Sitemaps: the pages that a site lists of itself (sitemaps.org, protocol 0.9). Pure.

Only what stands between `<loc>` and `</loc>` is read, by a pattern, so that nothing of what
XML can do to its reader can happen here.
"""

from __future__ import annotations

import re
import zlib
from html import unescape
from typing import Final, NamedTuple

_INDEX: Final = re.compile(r"<sitemapindex[\s>]").search
_LOCATION: Final = re.compile(r"<loc>\s*(?:<!\[CDATA\[\s*)?([^<>\s\]]+)")
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31


class Sitemap(NamedTuple):
    """URLs of pages, and of further sitemaps, as they are written."""

    pages: list[str]
    sitemaps: list[str]


def read_sitemap(data: bytes, limit: int) -> Sitemap:
    """A sitemap, or an index of sitemaps, in XML or as a text of one URL a line; either may be
    compressed with gzip. limit: most bytes that are looked at once they are unpacked."""
    if data.startswith(_GZIP):
        try:
            data = zlib.decompressobj(_GZIP_WINDOW).decompress(data, limit)
        except zlib.error:
            data = b""
    text = data[:limit].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if not text.startswith("<"):
        lines = (line.strip() for line in text.splitlines())
        return Sitemap([line for line in lines if line.startswith(("http://", "https://"))], [])
    locations = [unescape(location) for location in _LOCATION.findall(text)]
    return Sitemap([], locations) if _INDEX(text) else Sitemap(locations, [])
