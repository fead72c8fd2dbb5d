"""What a file is by its first bytes, whatever it is called. Pure.

Only kinds that people upload, and those that somebody would disguise as one. What is text is
told from what is not; kinds of text that browsers run are told from those that they show.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from typing import Final

NEEDED: Final = 512
"""So many bytes, or all there are, settle it."""

_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"%PDF-", "application/pdf"),
    (b"%!PS", "application/postscript"),
    (b"{\\rtf", "application/rtf"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"(\xb5/\xfd", "application/zstd"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"OggS", "application/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ", "application/x-executable"),
    (b"\xfe\xed\xfa", "application/x-executable"),
    (b"\xcf\xfa\xed\xfe", "application/x-executable"),
    (b"\xca\xfe\xba\xbe", "application/x-executable"),
    (b"\x00asm", "application/wasm"),
    (b"#!", "text/x-shellscript"),
    (b"<?php", "application/x-httpd-php"),
)  # fmt: skip
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS: Final = {
    b"avif": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif",
    b"qt  ": "video/quicktime", b"M4A ": "audio/mp4",
}  # fmt: skip
_PAGE: Final = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|script|iframe|h1|div|font|table|a|p|style"
    rb"|title|b|br|img|form|meta|object|embed)[\s>/]",
    re.IGNORECASE | re.DOTALL,
).match
_XML: Final = re.compile(rb"\s*<(?:\?xml|!DOCTYPE|svg)[\s>]", re.IGNORECASE).match
_SVG: Final = re.compile(rb"<svg[\s>]", re.IGNORECASE).search
_BINARY: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]").search

# Kinds that are a more general one inside.
_MADE_OF: Final = {
    "application/zip": re.compile(
        r"application/(?:vnd\.openxmlformats-.*|vnd\.oasis\.opendocument\..*|epub\+zip|java-archive"
        r"|x-zip-compressed)"
    ),
    "application/x-ole-storage": re.compile(r"application/(?:msword|vnd\.ms-.*)"),
    "text/plain": re.compile(
        r"text/(?!html|x-shellscript|javascript).*|application/(?:json|.*\+json|yaml|x-ndjson|csv)"
    ),
    "application/xml": re.compile(r"text/xml|application/(?!xhtml).*\+xml"),
    "application/ogg": re.compile(r"(?:audio|video)/ogg"),
    "video/mp4": re.compile(r"audio/mp4|video/.*"),
}


def kind_of(data: bytes) -> str:
    """The media type of a file that begins so; `application/octet-stream` if it is unknown."""
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12], "application/octet-stream")
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video/mp4")
    head = data[:NEEDED].removeprefix(b"\xef\xbb\xbf")
    if _BINARY(head):
        return "application/octet-stream"
    if _PAGE(head):
        return "text/html"
    if _XML(head):
        return "image/svg+xml" if _SVG(head) else "application/xml"
    try:
        # A character may be cut in two at the end.
        getincrementaldecoder("utf-8")().decode(head, len(data) < NEEDED)
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain"


def is_a(kind: str, wanted: str) -> bool:
    """Whether a file of this kind may be what is wanted: `image/png`, or `image/*`."""
    if wanted == kind or (wanted.endswith("/*") and kind.startswith(wanted[:-1])):
        # SVG is a page that may hold scripts: it has to be asked for by name.
        return kind != "image/svg+xml" or wanted == kind
    general = _MADE_OF.get(kind)
    return general is not None and general.fullmatch(wanted) is not None
