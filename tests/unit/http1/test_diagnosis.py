"""What a client is told about a head that could not be parsed."""

from __future__ import annotations

import time

import pytest

from proxy.errors import GatewayError
from proxy.http1.diagnosis import diagnose

LINE = b"GET / HTTP/1.1\r\n"


def told(head: bytes, cause: str = "BadHttpMessage") -> GatewayError:
    error = diagnose(head, GatewayError("bad_request", cause=cause, close=True))
    assert error.close, "what follows a refused head can't be read"
    return error


@pytest.mark.parametrize(
    ("head", "cause", "code", "detail"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", "first byte", "bad_request", "TLS handshake"),
        (b"secret\r\n", "BadHttpMethod", "bad_request", "request line"),
        (b"GET secret\r\n", "request line", "bad_request", "request line"),
        (b"GET /secret  HTTP/1.1\r\n", "x", "bad_request", "request line"),
        (b"\r\n", "x", "bad_request", "request line"),
        (b"", "x", "bad_request", "request line"),
        (b"GET /secret\r\n", "request line", "unknown_version", "version"),
        (b"GET /secret HTTP/1.2\r\n", "BadStatusLine", "unknown_version", "version"),
        (b"GET /secret SECRET/1.0\r\n", "BadStatusLine", "unknown_version", "version"),
        (b"GET / HTTP/1.1\nX: secret\r\n", "BadStatusLine", "bad_request", "CRLF"),
        (b"SECRET / HTTP/1.1\r\n", "BadHttpMethod", "method_not_supported", "method"),
        (b"GET /secret\xff HTTP/1.1\r\n", "InvalidURLError", "invalid_target", "characters"),
        (b"GET secret HTTP/1.1\r\n", "InvalidURLError", "invalid_target", "target"),
        (b"GET http://secret@/ HTTP/1.1\r\n", "IndexError", "invalid_target", "target"),
        (LINE + b"A: b\r\nX: secret\n", "x", "invalid_header", "line 2 does not end"),
        (LINE + b" X: secret\r\n", "x", "invalid_header", "line 1 is folded"),
        (LINE + b"A: b\r\n\tsecret\r\n", "x", "invalid_header", "line 2 is folded"),
        (LINE + b"secret : b\r\n", "x", "invalid_header", "line 1 is malformed"),
        (LINE + b"secret\r\n", "x", "invalid_header", "line 1 is malformed"),
        (LINE + b"X: secret\x00\r\n", "x", "invalid_header", "line 1 is malformed"),
        (LINE + b"X: sec\rret\r\n", "x", "invalid_header", "line 1 is malformed"),
        (LINE + b"Host: secret\r\nhost: b\r\n", "x", "invalid_host", "repeated"),
        (LINE + b"X: secret\r\n\r\n", "x", "invalid_host", "missing"),
        (LINE + b"\r\n", "x", "invalid_host", "missing"),
        (LINE + b"Transfer-Encoding: secret\r\n", "x", "unknown_coding", "coding"),
        (LINE + b"Transfer-Encoding: chunked, secret\r\n", "x", "unknown_coding", "coding"),
        (LINE + b"transfer-encoding: chunked, chunked\r\n", "x", "invalid_framing", "once"),
        (
            LINE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "x", "invalid_framing", "without Content-Length",
        ),
        (LINE + b"Content-Length: secret\r\n", "x", "invalid_framing", "decimal"),
        (LINE + b"Content-Type: secret\r\ncontent-type: b\r\n", "x", "invalid_header", "once"),
        (LINE + b"Host: a\r\nX: secret\r\n\r\n", "x", "bad_request", "understood"),
    ],
)  # fmt: skip
def test_the_reason_is_told_in_words_and_never_in_the_clients_own(
    head: bytes, cause: str, code: str, detail: str
) -> None:
    error = told(head, cause)
    assert error.code == code
    assert detail in error.detail
    assert "secret" not in error.detail.lower()


def test_a_host_that_has_not_come_yet_is_not_missing() -> None:
    """Heads are refused at the first bad line, and Host may come after it."""
    assert told(LINE + b"Content-Length: +5\r\n").code == "invalid_framing"
    assert told(LINE + b"X: y\r\n").code == "bad_request"


def test_http_1_0_needs_no_host() -> None:
    assert told(b"GET / HTTP/1.0\r\nX: y\r\n\r\n").code == "bad_request"


def test_the_cause_stays_for_the_log() -> None:
    assert told(LINE + b"X : y\r\n", "BadHttpMessage").cause == "BadHttpMessage"


@pytest.mark.parametrize(
    "head",
    [
        LINE + b"Transfer-Encoding: a" + b" " * 200_000 + b"b\r\n\r\n",
        LINE + b"Transfer-Encoding:" + b" \t" * 100_000 + b"\x01\r\n\r\n",
        LINE + b"Transfer-Encoding: a" + b"\r" * 200_000 + b"b\r\n\r\n",
        LINE + b"X: " + b"a" * 200_000 + b"\x00\r\n",
        LINE + b"a" * 200_000 + b"\r\n",
        LINE + b"a: b\r\n" * 40_000 + b"\r\n",
        b"GET " * 50_000 + b"\r\n",
        b"A" * 200_000 + b"\r\n",
        b"GET /" + b"\t" * 200_000 + b"\r\n",
    ],
    ids=["blanks", "tabs", "returns", "value", "name", "fields", "words", "method", "target"],
)
def test_a_hostile_head_takes_no_longer_to_explain_than_to_read(head: bytes) -> None:
    """A pattern that backtracks would take minutes over these."""
    began = time.process_time()
    told(head)
    assert time.process_time() - began < 1
