"""What files are, whatever they are called."""

from __future__ import annotations

import gzip
import io
import zipfile

import pytest

from proxy.content.magic import is_a, kind_of


def a_zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a", "b")
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"GIF89a\x01", "image/gif"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x24\x00\x00\x00nope", "application/octet-stream"),
        (b"\x00\x00\x00\x20ftypavif", "image/avif"),
        (b"\x00\x00\x00\x20ftypisom", "video/mp4"),
        (b"%PDF-1.7\n", "application/pdf"),
        (a_zip(), "application/zip"),
        (gzip.compress(b"x", mtime=0), "application/gzip"),
        (b"\x7fELF\x02", "application/x-executable"),
        (b"MZ\x90\x00", "application/x-executable"),
        (b"#!/bin/sh\n", "text/x-shellscript"),
        (b"<?php echo 1;", "application/x-httpd-php"),
        (b"<!DOCTYPE html><html>", "text/html"),
        (b"\xef\xbb\xbf  <script>alert(1)</script>", "text/html"),
        (b"<!-- x --><HTML>", "text/html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "image/svg+xml"),
        (b"<?xml version='1.0'?><svg>", "image/svg+xml"),
        (b"<?xml version='1.0'?><a/>", "application/xml"),
        (b"a,b,c\n1,2,3\n", "text/plain"),
        ("é".encode() * 300, "text/plain"),
        (b"x" + "é".encode() * 300, "text/plain"),
        (b"", "text/plain"),
        (b"\x00\x01\x02", "application/octet-stream"),
        (b"abc\xff\xfe", "application/octet-stream"),
    ],
)
def test_kinds(data: bytes, kind: str) -> None:
    assert kind_of(data) == kind


@pytest.mark.parametrize(
    ("kind", "wanted", "fits"),
    [
        ("image/png", "image/png", True),
        ("image/png", "image/*", True),
        ("image/png", "image/jpeg", False),
        ("image/svg+xml", "image/*", False),
        ("image/svg+xml", "image/svg+xml", True),
        ("text/plain", "text/csv", True),
        ("text/plain", "application/json", True),
        ("text/plain", "text/html", False),
        ("text/html", "text/plain", False),
        ("text/html", "text/csv", False),
        ("application/zip", "application/epub+zip", True),
        (
            "application/zip",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            True,
        ),
        ("application/x-ole-storage", "application/msword", True),
        ("application/zip", "image/png", False),
        ("application/octet-stream", "image/png", False),
    ],
)
def test_what_a_kind_may_pass_for(kind: str, wanted: str, fits: bool) -> None:
    assert is_a(kind, wanted) is fits
