"""What is taken apart without the parser is what the parser would make of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.config.model import Paths
from proxy.errors import GatewayError
from proxy.http1 import line as line_module
from proxy.http1.line import lines_of
from proxy.http1.message import (
    HeadRules,
    RequestHead,
    read_request_head,
    read_response_head,
)
from proxy.http1.plain import PlainRequest, PlainResponse, plain_request, plain_response
from proxy.wire.parser import RequestParser, ResponseParser
from tests.unit.paused_loop import PausedLoop

LOOP = PausedLoop()
RULES = HeadRules(100, 8192, "drop", Paths())
NAMES = (
    b"Host", b"host", b"Accept", b"User-Agent", b"Content-Type", b"Content-Length", b"X-A", b"x-a",
    b"Transfer-Encoding", b"Connection", b"Cookie", b"Upgrade", b"Expect", b"X_A", b"ETag",
    b"X-Forwarded-For", b"Keep-Alive", b"Server", b"Trailer", b"Date",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _names() -> Iterator[None]:
    # Else other tests may have filled it so far that it forgets all amid these.
    line_module._NAMES.clear()
    lines_of([(name, b"x") for name in NAMES], "invalid_header")
    yield
    LOOP.close()


def by_parser(head: bytes) -> PlainRequest | None:
    """What the parser makes of a request head; None when it refuses it."""
    try:
        parsed = RequestParser(LOOP).feed(head + b"\r\n\r\n", True)
    except GatewayError:
        return None
    assert parsed is not None
    lines = lines_of(parsed.raw_headers, "invalid_header")
    return parsed.method, parsed.path, parsed.version, lines


def meaning(parts: PlainRequest | None) -> object:
    """What comes of a request in the end: its parts, or that it is refused."""
    if parts is None:
        return "refused"
    try:
        head: RequestHead = read_request_head(*parts, RULES)
    except GatewayError:
        return "refused"
    return (
        head.method, head.target, head.version, head.host, head.authority, head.headers.fields(),
        head.framing, head.keep_alive, head.expects, head.upgrade, head.forwarded,
    )  # fmt: skip


METHODS = st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"get", b"BREW", b"TRACE"])
TARGETS = st.sampled_from(
    [b"/", b"/a/b?c=d", b"/%41", b"/a|b", b"/[", b"*", b"http://a/b", b"//x", b"/a b", b"/\x01",
     b"/\xff", b"/#f", b"/?a[]=1", b"/a\\b", b"", b"/\n"]
)  # fmt: skip
VERSIONS = st.sampled_from(
    [b"HTTP/1.1"] * 4 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 "]
)
PIECES = st.sampled_from(
    [b"a", b"1", b"5", b"chunked", b"close", b"keep-alive", b"100-continue", b"a.example", b", ",
     b" ", b"\t", b"\xff", b"\x00", b"\x7f", b"\r", b"\n", b":", b"websocket", b"upgrade", b"x-a"]
)  # fmt: skip
VALUES = st.lists(PIECES, max_size=3).map(b"".join)
SEPARATORS = st.sampled_from([b": "] * 6 + [b":", b":  ", b" : ", b""])
FIELDS = st.lists(
    st.tuples(st.sampled_from(NAMES), SEPARATORS, VALUES).map(b"".join), max_size=5
).map(lambda lines: [b"Host: a.example", *lines])


@given(st.tuples(METHODS, TARGETS, VERSIONS).map(b" ".join), FIELDS)
@example(b"GET / HTTP/1.1", [b"Host: a", b"Content-Length: 5", b"Content-Length: 5"])
@example(b"GET / HTTP/1.1", [b"Host: a", b"Content-Type: a", b"content-type: a"])
@example(b"GET / HTTP/1.1", [b"Host: a", b"Content-Length: 5", b"Transfer-Encoding: chunked"])
@example(b"GET / HTTP/1.1", [b"Host: a", b"Transfer-Encoding: gzip, chunked"])
@example(b"GET / HTTP/1.1", [b"Host: a", b"Transfer-Encoding: chunked, chunked"])
@example(b"GET / HTTP/1.0", [b"Transfer-Encoding: chunked"])
@example(b"GET / HTTP/1.1", [b"Accept: a"])
@example(b"GET / HTTP/1.1", [b"Host: a", b"X-A: 1\nX-A: 2"])
@example(b"GET / HTTP/1.1", [b"Host: a", b"Connection: upgrade", b"Upgrade: websocket"])
def test_a_plain_request_means_what_the_parser_reads(line: bytes, fields: list[bytes]) -> None:
    head = b"\r\n".join([line, *fields])
    plain = plain_request(head)
    if plain is not None:
        assert meaning(plain) == meaning(by_parser(head))


def test_ordinary_requests_are_plain() -> None:
    head = (
        b"POST /a/b?c=d HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nUser-Agent: x/1 (y; z)\r\n"
        b"Content-Type: a/b\r\nContent-Length: 5\r\nConnection: keep-alive"
    )
    assert plain_request(head) == by_parser(head)
    assert plain_request(head) is not None
    assert plain_request(head.replace(b"1.1", b"1.0")) is not None


def response_by_parser(head: bytes) -> PlainResponse | None:
    """What the parser makes of a response head; None when it refuses it."""
    try:
        parsed = ResponseParser(LOOP).read(head + b"\r\n\r\n")
        lines = lines_of(parsed.raw_headers, "upstream_invalid")
    except GatewayError:
        return None
    return parsed.code, parsed.version, lines


def answer_meant(parts: PlainResponse | None) -> object:
    """What comes of a response in the end: how it goes on, or that it is refused."""
    if parts is None:
        return "refused"
    try:
        head = read_response_head(*parts, "GET")
    except GatewayError:
        return "refused"
    return head.headers.fields(), head.framing, head.length, head.reuse, head.idle


STARTS = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.1 204", b"HTTP/1.0 404 Not Found", b"HTTP/1.1 99 x",
     b"HTTP/1.1  200 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 200\tOK", b"HTTP/1.1 200 O\x00K",
     b"HTTP/2 200 OK", b"ICY 200 OK", b"HTTP/1.1 200 \xff", b"HTTP/1.1 600 x", b"",
     b"HTTP/1.1 200 "]
)  # fmt: skip


@given(STARTS, FIELDS)
@example(b"HTTP/1.1 200 OK", [b"Content-Length: 5", b"Content-Length: 5"])
def test_a_plain_response_is_what_the_parser_reads(start: bytes, fields: list[bytes]) -> None:
    head = b"\r\n".join([start, *fields])
    plain = plain_response(head)
    if plain is not None:
        known = response_by_parser(head)
        assert known is None or plain == known
        # The parser refuses some heads for what `read_response_head` refuses them for.
        assert answer_meant(plain) == answer_meant(known)


def test_ordinary_responses_are_plain() -> None:
    head = b'HTTP/1.1 200 OK\r\nDate: now\r\nServer: x\r\nTransfer-Encoding: chunked\r\nETag: "a"'
    assert plain_response(head) == response_by_parser(head)
    assert plain_response(head) is not None
