"""The requests that are measured, as the bytes that a client sends.

In a request that is to be another one each time, `SEQUENCE` stands wherever its number, of
sixteen digits, is to come.
"""

from __future__ import annotations

from typing import Final

SEQUENCE: Final = b"@number@"
KIB: Final = 1024
MIB: Final = 1024 * KIB

_START: Final = b"GET /products/7?colour=red HTTP/1.1\r\n"
_UNIQUE_START: Final = (
    b"GET /products/%s?colour=red HTTP/1.1\r\nX-Seq: %s\r\ntraceparent: 00-%s%s-%s-01\r\n"
) % ((SEQUENCE,) * 5)

SMALL: Final = (
    _START + b"Host: 127.0.0.1:8080\r\nAccept: application/json\r\nUser-Agent: wrk\r\n\r\n"
)
BROWSER: Final = (
    _START + b"Host: shop.example.com\r\n"
    b'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24"\r\nsec-ch-ua-mobile: ?0\r\n'
    b'sec-ch-ua-platform: "Linux"\r\nUpgrade-Insecure-Requests: 1\r\n'
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/140.0.0.0 Safari/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    b"*/*;q=0.8\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    b"Cookie: session=%s; theme=dark; consent=yes\r\n\r\n" % (b"0123456789abcdef" * 24)
)
POST: Final = (
    b"POST /orders HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
    b"User-Agent: wrk\r\nContent-Length: 10240\r\n\r\n" + b"x" * (10 * KIB)
)
"""Of 10 KiB."""


def unique(request: bytes) -> bytes:
    """A GET from above with another target and other fields each time: its number in two, and
    as a trace's context."""
    return request.replace(_START, _UNIQUE_START, 1)


def download(size: int) -> bytes:
    """Asks for a body of so many bytes."""
    return SMALL.replace(b"/products/7?colour=red", b"/download/%d" % size, 1)
