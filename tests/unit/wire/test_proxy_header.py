"""PROXY headers as values: where they end, and whom they name."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from proxy.wire.proxy_header import measure, read_source

LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def block(source: str = "192.0.2.7", extra: bytes = b"") -> bytes:
    address = ip_address(source).packed
    body = address * 2 + b"\x00\x50\x01\xbb" + extra
    kind = b"\x21\x11" if len(address) == 4 else b"\x21\x21"
    return SIGNATURE + kind + len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize("header", [LINE, block(), block("2001:db8::7"), block(extra=b"x" * 99)])
def test_never_a_byte_too_many(header: bytes) -> None:
    """However it was cut, and whatever follows."""
    for place in range(1, len(header)):
        assert place < measure(header[:place]) <= len(header)
    assert measure(header) == measure(header + b"GET / HTTP/1.1\r\n") == len(header)


@pytest.mark.parametrize(
    "data",
    [
        b"G",
        b"PROXz",
        b"proxy TCP4",
        b"\r\n\r\n\x01",
        b"PROXY " + b"x" * 101,
        b"PROXY " + b"x" * 101 + b"\r\n",
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_what_begins_no_header(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|line"):
        measure(data)


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (LINE, "192.0.2.7"),
        (b"PROXY TCP6 2001:DB8::7 ::1 1 65535\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ::1 ::1 1 2\r\n", None),
        (block(), "192.0.2.7"),
        (block("2001:db8::7"), "2001:db8::7"),
        (block(extra=b"\x04\x00\x01x"), "192.0.2.7"),
        (SIGNATURE + b"\x20\x00\x00\x00", None),
        (SIGNATURE + b"\x21\x00\x00\x00", None),
        (SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216), None),
    ],
)
def test_whom_a_header_names(header: bytes, source: str | None) -> None:
    assert read_source(header) == source


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51000\r\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 51000 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 443 \r\n",
        b"PROXY TCP4 192.0.2.777 198.51.100.1 51000 443\r\n",
        b"PROXY TCP4 ::1 ::1 51000 443\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 51000 443\r\n",
        b"PROXY TCP4 192.0.2.7 nobody 51000 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 65536\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 51000 443\r\n",
        b"PROXY\r\n",
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x12\x00\x0c" + bytes(12),
    ],
)
def test_a_malformed_one_names_nobody(header: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_source(header)
