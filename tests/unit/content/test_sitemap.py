"""Sitemaps in the forms that sites have them, and what is none."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.content.sitemap import read_sitemap

LIMIT = 100_000
PAGES = b"""<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"
        xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
  <url><loc>https://shop.example/a?b=1&amp;c=2</loc><lastmod>2026-11-25</lastmod>
    <image:image><image:loc>https://shop.example/a.png</image:loc></image:image></url>
  <url><loc>
    https://shop.example/b </loc></url>
  <url><loc><![CDATA[https://shop.example/c]]></loc></url>
</urlset>"""
LISTED = ["https://shop.example/a?b=1&c=2", "https://shop.example/b", "https://shop.example/c"]


def test_pages() -> None:
    assert read_sitemap(PAGES, LIMIT) == (LISTED, [])


def test_compressed() -> None:
    assert read_sitemap(gzip.compress(PAGES), LIMIT) == (LISTED, [])


def test_an_index() -> None:
    index = PAGES.replace(b"urlset", b"sitemapindex")
    assert read_sitemap(index, LIMIT) == ([], LISTED)


def test_a_text() -> None:
    text = "\ufeffhttps://shop.example/a\r\n\r\nhttps://shop.example/b\nftp://shop.example/c\n"
    assert read_sitemap(text.encode(), LIMIT).pages == [
        "https://shop.example/a",
        "https://shop.example/b",
    ]


def test_no_more_than_the_limit_is_unpacked() -> None:
    bomb = gzip.compress(PAGES + b" " * 10_000_000 + PAGES)
    assert len(bomb) < 20_000
    assert read_sitemap(bomb, LIMIT).pages == LISTED


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x1f\x8bnothing", b"<loc></loc>", b"\xff\xfe"])
def test_what_is_none_lists_nothing(data: bytes) -> None:
    assert read_sitemap(data, LIMIT) == ([], [])


def test_entities_are_not_resolved() -> None:
    hostile = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><urlset><loc>&e;</loc>'
    assert read_sitemap(hostile, LIMIT).pages == ["&e;"]


@given(st.binary(max_size=300))
def test_anything_is_read_without_harm(data: bytes) -> None:
    read_sitemap(data, LIMIT)
