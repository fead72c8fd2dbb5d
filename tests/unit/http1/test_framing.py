"""RFC 9112, 6.3 as tables: where bodies end, and which messages are refused for it."""

from __future__ import annotations

import pytest

from proxy.errors import GatewayError
from proxy.http1.framing import Framing, read_length, request_framing, response_framing

BAD = "invalid_framing"
UNKNOWN = "unknown_coding"


@pytest.mark.parametrize(
    ("version", "coding", "length", "framing"),
    [
        ("1.1", None, None, 0),
        ("1.0", None, None, 0),
        ("1.1", None, b"0", 0),
        ("1.1", None, b"5", 5),
        ("1.0", None, b"5", 5),
        ("1.1", None, b"0005", 5),
        ("1.1", None, b"999999999999999999", 10**18 - 1),
        ("1.1", b"chunked", None, "chunked"),
        ("1.1", b"cHUNKED", None, "chunked"),
        ("1.1", b" chunked\t", None, "chunked"),
    ],
)
def test_a_request_says_where_its_body_ends(
    version: str, coding: bytes | None, length: bytes | None, framing: Framing
) -> None:
    assert request_framing(version, coding, length) == framing


@pytest.mark.parametrize(
    ("version", "coding", "length", "code"),
    [
        ("1.1", b"chunked", b"5", BAD),
        ("1.1", b"chunked", b"0", BAD),
        ("1.1", b"gzip", b"5", BAD),
        ("1.0", b"chunked", None, BAD),
        ("1.0", b"gzip", None, BAD),
        ("1.1", b"", None, BAD),
        ("1.1", b",", None, BAD),
        ("1.1", b", chunked", None, BAD),
        ("1.1", b"chunked,", None, BAD),
        ("1.1", b"chunked, chunked", None, BAD),
        ("1.1", b"gzip", None, UNKNOWN),
        ("1.1", b"identity", None, UNKNOWN),
        ("1.1", b"gzip, chunked", None, UNKNOWN),
        ("1.1", b"chunked, gzip", None, UNKNOWN),
        ("1.1", b"chunked, identity", None, UNKNOWN),
        ("1.1", b"xchunked", None, UNKNOWN),
        ("1.1", b"chunked;q=1", None, UNKNOWN),
        ("1.1", b'"chunked"', None, UNKNOWN),
        ("1.1", b"chunked\x0b", None, UNKNOWN),
        ("1.1", b"chunked\xa0", None, UNKNOWN),
        ("1.1", None, b"", BAD),
        ("1.1", None, b" ", BAD),
        ("1.1", None, b"5, 5", BAD),
        ("1.1", None, b"5 5", BAD),
        ("1.1", None, b"+5", BAD),
        ("1.1", None, b"-5", BAD),
        ("1.1", None, b"0x5", BAD),
        ("1.1", None, b"5_0", BAD),
        ("1.1", None, b"5.0", BAD),
        ("1.1", None, b"\xd9\xa3", BAD),
        ("1.1", None, b"\xb2", BAD),
        ("1.1", None, b"18446744073709551615", BAD),
        ("1.1", None, b"18446744073709551616", BAD),
        ("1.1", None, b"9" * 5000, BAD),
    ],
)
def test_an_ambiguous_request_is_refused_and_its_connection_closed(
    version: str, coding: bytes | None, length: bytes | None, code: str
) -> None:
    with pytest.raises(GatewayError) as refusal:
        request_framing(version, coding, length)
    assert refusal.value.code == code
    assert refusal.value.status == {BAD: 400, UNKNOWN: 501}[code]
    assert refusal.value.close


@pytest.mark.parametrize(
    ("method", "status", "coding", "length", "framing"),
    [
        ("GET", 200, None, b"5", 5),
        ("GET", 200, None, b"0", 0),
        ("GET", 200, None, None, "close"),
        ("POST", 201, None, None, "close"),
        ("GET", 200, b"chunked", None, "chunked"),
        ("GET", 404, b"Chunked ", None, "chunked"),
        # No body, whatever the fields announce.
        ("HEAD", 200, None, b"5", 0),
        ("HEAD", 200, b"chunked", None, 0),
        ("HEAD", 200, None, None, 0),
        ("GET", 204, None, b"5", 0),
        ("GET", 204, b"chunked", None, 0),
        ("GET", 304, None, b"5", 0),
        ("GET", 304, b"chunked", None, 0),
        ("GET", 304, None, None, 0),
        ("GET", 100, None, None, 0),
        ("GET", 101, None, b"5", 0),
        ("GET", 103, b"chunked", None, 0),
    ],
)
def test_a_response_says_where_its_body_ends(
    method: str, status: int, coding: bytes | None, length: bytes | None, framing: Framing
) -> None:
    assert response_framing(method, status, coding, length) == framing


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [200, 204, 304])
@pytest.mark.parametrize(
    ("coding", "length"),
    [
        (b"chunked", b"5"),
        (None, b""),
        (None, b"5, 5"),
        (None, b"+5"),
        (None, b"18446744073709551615"),
    ],
)
def test_a_malformed_response_is_refused_even_where_it_has_no_body(
    method: str, status: int, coding: bytes | None, length: bytes | None
) -> None:
    with pytest.raises(GatewayError) as refusal:
        response_framing(method, status, coding, length)
    assert (refusal.value.status, refusal.value.code) == (502, "upstream_invalid")


@pytest.mark.parametrize(
    "coding", [b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity", b"", b"chunked;a=b"]
)
def test_a_response_whose_coding_cant_be_undone_is_refused(coding: bytes) -> None:
    with pytest.raises(GatewayError) as refusal:
        response_framing("GET", 200, coding, None)
    assert refusal.value.code == "upstream_invalid"


def test_no_length_overflows_a_signed_64_bit_integer() -> None:
    assert read_length(b"9" * 18) == 10**18 - 1
    assert read_length(b"9" * 19) is None
