"""Where a message's body ends: the steps of RFC 9112, 6.3, walked in their order.

Two pure functions, one for each direction, over the values of three fields. Whatever two
readers could understand differently is refused. No buffers and no I/O here.
"""

from __future__ import annotations

from typing import Final, Literal

from proxy.errors import GatewayError

Framing = int | Literal["chunked", "close"]
"""A length in bytes, or how else the end is told."""

CHUNKED: Final = "chunked"
CLOSE: Final = "close"
# 2^63 - 1 overflows nothing anywhere; a larger length is an attack or an error.
_MAX_LENGTH_DIGITS: Final = 18


def request_framing(version: str, coding: bytes | None, length: bytes | None) -> Framing:
    """How a request's body is framed, from Transfer-Encoding and Content-Length.

    Raises GatewayError `invalid_framing` (400) or `unknown_coding` (501), both closing.
    """
    if coding is not None:
        # 6.1: a coding in HTTP/1.0, or beside a length, is a sign of request smuggling.
        if version == "1.0":
            raise _refuse("Transfer-Encoding does not exist in HTTP/1.0.")
        if length is not None:
            raise _refuse("Content-Length and Transfer-Encoding exclude each other.")
        codings = [part.strip(b" \t").lower() for part in coding.split(b",")]
        if codings == [b"chunked"]:
            return CHUNKED
        if any(part not in (b"chunked", b"") for part in codings):
            raise GatewayError("unknown_coding", close=True)
        raise _refuse("Transfer-Encoding must be `chunked`, once.")
    if length is None:
        return 0
    value = read_length(length)
    if value is None:
        raise _refuse("Content-Length must be one decimal number.")
    return value


def response_framing(
    method: str, status: int, coding: bytes | None, length: bytes | None
) -> Framing:
    """How a response's body is framed. Raises GatewayError `upstream_invalid` (502).

    HEAD, 1xx, 204 and 304 have no body whatever their fields say (6.3, step 1).
    """
    if coding is not None and length is not None:
        raise GatewayError("upstream_invalid", cause="Content-Length beside Transfer-Encoding")
    value = None
    if length is not None:
        value = read_length(length)
        if value is None:
            raise GatewayError("upstream_invalid", cause="malformed Content-Length")
    if method == "HEAD" or status < 200 or status == 204 or status == 304:
        return 0
    if coding is not None:
        if coding.strip(b" \t").lower() != b"chunked":
            raise GatewayError("upstream_invalid", cause="unknown transfer coding")
        return CHUNKED
    return CLOSE if value is None else value


def read_length(value: bytes) -> int | None:
    """The number in a Content-Length value, None when it is malformed or absurd.

    Equal repeated values (`5, 5`) are malformed here: RFC 9110, 8.6 allows that choice.
    """
    if value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS:
        return int(value)
    return None


def _refuse(detail: str) -> GatewayError:
    return GatewayError("invalid_framing", detail, close=True)
