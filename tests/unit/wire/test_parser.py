"""The contract with aiohttp's parsers: what they refuse, what they let through, what they keep.

Each row is something that Sidegate relies on. One that fails after an upgrade of aiohttp
says what has to be looked at before the upgrade is taken.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp.http
import pytest

from proxy.config.model import Paths
from proxy.errors import GatewayError
from proxy.http1.message import HeadRules, RequestHead
from proxy.server.arrival import Arrival
from proxy.server.intake import Intake
from proxy.wire.parser import ParsedRequest, RequestParser, ResponseParser, require_c_parsers
from tests.unit.paused_loop import PausedLoop

ROOT = Path(__file__).parents[3]
RULES = HeadRules(100, 8192, "drop", Paths())
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The parsers want a loop, and never use it here."""
    loop = PausedLoop()
    yield loop
    loop.close()


def arrive(loop: asyncio.AbstractEventLoop, raw: bytes) -> RequestHead:
    """What becomes of a complete head."""
    arrived, rest = Arrival(loop).feed(raw, 32 * 1024, RULES)
    assert arrived is not None
    assert rest == b""
    return arrived


def outcome(loop: asyncio.AbstractEventLoop, raw: bytes) -> tuple[int, str]:
    """Status and code of the refusal of a head."""
    with pytest.raises(GatewayError) as refusal:
        arrive(loop, raw)
    assert refusal.value.close, "what follows a refused head can't be read"
    return refusal.value.status, refusal.value.code


def on_get(*lines: bytes) -> bytes:
    return GET + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def on_post(*lines: bytes) -> bytes:
    return POST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def with_line(line: bytes) -> bytes:
    return line + b"\r\nHost: a\r\n\r\n"


# -- requests: what the parser refuses by itself ----------------------------------------------

REFUSED_BY_THE_PARSER = {
    # RFC 9112, 6.3: lengths.
    "length beside coding": (on_post(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    "coding beside length": (on_post(b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
    "equal lengths": (on_post(b"Content-Length: 5", b"Content-Length: 5"), 400),
    "unequal lengths": (on_post(b"Content-Length: 5", b"Content-Length: 6"), 400),
    "length +5": (on_post(b"Content-Length: +5"), 400),
    "length -1": (on_post(b"Content-Length: -1"), 400),
    "length 0x5": (on_post(b"Content-Length: 0x5"), 400),
    "length 5 5": (on_post(b"Content-Length: 5 5"), 400),
    "length 5, 5": (on_post(b"Content-Length: 5, 5"), 400),
    "length 5;": (on_post(b"Content-Length: 5;"), 400),
    "length 5_0": (on_post(b"Content-Length: 5_0"), 400),
    "length 1e3": (on_post(b"Content-Length: 1e3"), 400),
    "length empty": (on_post(b"Content-Length:"), 400),
    "length blank": (on_post(b"Content-Length: "), 400),
    "length with no-break space": (on_post(b"Content-Length: 5\xa0"), 400),
    "length 2^64": (on_post(b"Content-Length: 18446744073709551616"), 400),
    # 6.1: codings.
    "chunked not last": (on_post(b"Transfer-Encoding: chunked, gzip"), 501),
    "chunked twice": (on_post(b"Transfer-Encoding: chunked, chunked"), 400),
    "chunked on two lines": (
        on_post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
    "gzip, chunked on two lines": (
        on_post(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"), 501),
    "coding with an empty last": (on_post(b"Transfer-Encoding: chunked,"), 400),
    "coding after a vertical tab": (on_post(b"Transfer-Encoding: \x0bchunked"), 400),
    # 5.2: folding.
    "folded line": (on_get(b"X: a", b" b"), 400),
    "line folded by a tab": (on_get(b"X: a", b"\tb"), 400),
    "folded coding": (on_post(b"Transfer-Encoding:", b" chunked"), 400),
    "blank before the first field": (b"GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n", 400),
    # 2.2: line ends.
    "bare line feed": (GET + b"X: a\nY: b\r\n\r\n", 400),
    "bare line feed after the request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "bare line feed at the end": (GET + b"X: a\r\n\n\r\n\r\n", 400),
    "bare carriage return": (GET + b"X: a\rb\r\n\r\n", 400),
    "two carriage returns": (GET + b"X: a\r\r\n\r\n", 400),
    "carriage return in a name": (GET + b"X\r: a\r\n\r\n", 400),
    # 5.1: names.
    "space before the colon": (on_get(b"X : a"), 400),
    "tab before the colon": (on_get(b"X\t: a"), 400),
    "space in a name": (on_get(b"X Y: a"), 400),
    "no name": (on_get(b": a"), 400),
    "no colon": (on_get(b"X"), 400),
    "control character in a name": (on_get(b"X\x01: a"), 400),
    "NUL in a name": (on_get(b"X\x00: a"), 400),
    "high byte in a name": (on_get(b"X\xe9: a"), 400),
    "parenthesis in a name": (on_get(b"X(: a"), 400),
    "quote in a name": (on_get(b'X"Y: a'), 400),
    "slash in a name": (on_get(b"X/Y: a"), 400),
    # RFC 9110, 5.5: values.
    "NUL in a value": (on_get(b"X: a\x00b"), 400),
    "control character in a value": (on_get(b"X: a\x01b"), 400),
    "escape in a value": (on_get(b"X: \x1b[0m"), 400),
    "delete in a value": (on_get(b"X: a\x7fb"), 400),
    "vertical tab in a value": (on_get(b"X: a\x0bb"), 400),
    "form feed in a value": (on_get(b"X: a\x0cb"), 400),
    # 3.2: Host, and other fields that stand once.
    "no Host": (b"GET / HTTP/1.1\r\nX: y\r\n\r\n", 400),
    "no fields at all": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "Host twice": (on_get(b"Host: a"), 400),
    "Host twice in HTTP/1.0": (b"GET / HTTP/1.0\r\nHost: a\r\nhOST: b\r\n\r\n", 400),
    "Content-Type twice": (on_get(b"Content-Type: a", b"Content-Type: b"), 400),
    "User-Agent twice": (on_get(b"User-Agent: a", b"User-Agent: b"), 400),
    # RFC 9112, 2.3: versions.
    "HTTP/1.2": (with_line(b"GET / HTTP/1.2"), 505),
    "HTTP/3.0": (with_line(b"GET / HTTP/3.0"), 505),
    "HTTP/9.9": (with_line(b"GET / HTTP/9.9"), 505),
    "HTTP/1.10": (with_line(b"GET / HTTP/1.10"), 505),
    "HTTP/01.1": (with_line(b"GET / HTTP/01.1"), 505),
    "HTTP/1": (with_line(b"GET / HTTP/1"), 505),
    "http/1.1": (with_line(b"GET / http/1.1"), 505),
    "HTTP/1.1x": (with_line(b"GET / HTTP/1.1x"), 505),
    "blank after the version": (with_line(b"GET / HTTP/1.1 "), 400),
    # 3.1 and 3.2: methods and targets.
    "lower-case method": (with_line(b"get / HTTP/1.1"), 501),
    "mixed-case method": (with_line(b"GeT / HTTP/1.1"), 501),
    "unknown method": (with_line(b"FOO / HTTP/1.1"), 501),
    "blank before the method": (with_line(b" GET / HTTP/1.1"), 400),
    "tab for a space": (with_line(b"GET\t/ HTTP/1.1"), 400),
    "no target": (with_line(b"GET HTTP/1.1"), 400),
    "space in the target": (with_line(b"GET /a b HTTP/1.1"), 400),
    "high byte in the path": (with_line(b"GET /\xc3\xa9 HTTP/1.1"), 400),
    "high byte in the query": (with_line(b"GET /?\xff HTTP/1.1"), 400),
    "control character in the target": (with_line(b"GET /\x01 HTTP/1.1"), 400),
    "NUL in the target": (with_line(b"GET /\x00 HTTP/1.1"), 400),
    "delete in the target": (with_line(b"GET /\x7f HTTP/1.1"), 400),
    "target without a slash": (with_line(b"GET a HTTP/1.1"), 400),
    "target of a query alone": (with_line(b"GET ?a HTTP/1.1"), 400),
    "backslash first": (with_line(b"GET \\a HTTP/1.1"), 400),
    "asterisk for GET": (with_line(b"GET * HTTP/1.1"), 400),
    "absolute target without a host": (with_line(b"GET http:///a HTTP/1.1"), 400),
    "absolute target, bad port": (with_line(b"GET http://a:b/ HTTP/1.1"), 400),
    "javascript target": (with_line(b"GET javascript:1 HTTP/1.1"), 400),
    # Its URL raises IndexError rather than an error of the parser's own.
    "user name after an IPv6 host": (with_line(b"GET http://[::1]:80@/ HTTP/1.1"), 400),
    # WebSocket drafts that nobody speaks any more.
    "Sec-WebSocket-Key1": (on_get(b"Sec-WebSocket-Key1: x"), 400),
}  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "status"), REFUSED_BY_THE_PARSER.values(), ids=REFUSED_BY_THE_PARSER
)
def test_the_parser_refuses_by_itself(
    raw: bytes, status: int, loop: asyncio.AbstractEventLoop
) -> None:
    with pytest.raises(GatewayError) as refusal:
        RequestParser(loop).feed(raw, True)
    assert refusal.value.code == "bad_request"
    assert refusal.value.close
    assert outcome(loop, raw)[0] == status


# -- requests: what the parser lets through, and Sidegate refuses -----------------------------

REFUSED_BY_US = {
    "no version": (b"GET /\r\n\r\n", 505, "unknown_version"),
    "no version, with fields": (with_line(b"GET /"), 505, "unknown_version"),
    "HTTP/0.9": (with_line(b"GET / HTTP/0.9"), 505, "unknown_version"),
    "HTTP/2.0": (with_line(b"GET / HTTP/2.0"), 505, "unknown_version"),
    "RTSP/1.0": (with_line(b"SETUP / RTSP/1.0"), 505, "unknown_version"),
    "GET of RTSP/1.0": (with_line(b"GET / RTSP/1.0"), 505, "unknown_version"),
    "GET of RTSP/1.1": (with_line(b"GET / RTSP/1.1"), 505, "unknown_version"),
    "OPTIONS of RTSP/1.0": (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 505, "unknown_version"),
    "ICE/1.0": (with_line(b"SOURCE / ICE/1.0"), 505, "unknown_version"),
    "ICE/1.1": (with_line(b"SOURCE / ICE/1.1"), 505, "unknown_version"),
    "empty Host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "invalid_host"),
    "user and path in Host": (b"GET / HTTP/1.1\r\nHost: a b/c@d\r\n\r\n", 400, "invalid_host"),
    "two hosts in Host": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "invalid_host"),
    "high byte in Host": (b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", 400, "invalid_host"),
    "coding gzip": (on_post(b"Transfer-Encoding: gzip"), 501, "unknown_coding"),
    "coding identity": (on_post(b"Transfer-Encoding: identity"), 501, "unknown_coding"),
    "coding gzip, chunked": (on_post(b"Transfer-Encoding: gzip, chunked"), 501, "unknown_coding"),
    "coding foo, chunked": (on_post(b"Transfer-Encoding: foo, chunked"), 501, "unknown_coding"),
    "coding xchunked": (on_post(b"Transfer-Encoding: xchunked"), 501, "unknown_coding"),
    "coding chunked x": (on_post(b"Transfer-Encoding: chunked x"), 501, "unknown_coding"),
    "coding chunked;q=1": (on_post(b"Transfer-Encoding: chunked;q=1"), 501, "unknown_coding"),
    "coding in quotes": (on_post(b'Transfer-Encoding: "chunked"'), 501, "unknown_coding"),
    "coding , chunked": (on_post(b"Transfer-Encoding: , chunked"), 400, "invalid_framing"),
    "coding empty": (on_post(b"Transfer-Encoding:"), 400, "invalid_framing"),
    "coding in HTTP/1.0": (
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "invalid_framing"),
    "length 2^64 - 1": (
        on_post(b"Content-Length: 18446744073709551615"), 400, "invalid_framing"),
    "length 10^18": (on_post(b"Content-Length: 1000000000000000000"), 400, "invalid_framing"),
    "five empty lines": (b"\r\n" * 5 + GET + b"\r\n", 400, "bad_request"),
    "line feed first": (b"\n" + GET + b"\r\n", 400, "bad_request"),
    "carriage return first": (b"\r" + GET + b"\r\n", 400, "bad_request"),
    "user name in the target": (with_line(b"GET http://u@a/ HTTP/1.1"), 400, "invalid_target"),
    "ftp target": (with_line(b"GET ftp://a/ HTTP/1.1"), 400, "invalid_target"),
    "two slashes": (with_line(b"GET //evil HTTP/1.1"), 400, "invalid_target"),
    "backslash": (with_line(b"GET /a\\b HTTP/1.1"), 400, "invalid_target"),
    "fragment": (with_line(b"GET /#x HTTP/1.1"), 400, "invalid_target"),
    "fragment in the query": (with_line(b"GET /?a#x HTTP/1.1"), 400, "invalid_target"),
    "malformed escape": (with_line(b"GET /%zz HTTP/1.1"), 400, "invalid_target"),
    "half an escape": (with_line(b"GET /%4 HTTP/1.1"), 400, "invalid_target"),
    "encoded NUL": (with_line(b"GET /%00 HTTP/1.1"), 400, "invalid_target"),
    "quote in the path": (with_line(b'GET /" HTTP/1.1'), 400, "invalid_target"),
    "angle bracket in the path": (with_line(b"GET /<a> HTTP/1.1"), 400, "invalid_target"),
    "CONNECT": (with_line(b"CONNECT a:443 HTTP/1.1"), 501, "method_not_supported"),
    "CONNECT of a path": (with_line(b"CONNECT / HTTP/1.1"), 501, "method_not_supported"),
    "other expectation": (on_post(b"Expect: x"), 417, "expectation_failed"),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "status", "code"), REFUSED_BY_US.values(), ids=REFUSED_BY_US)
def test_what_the_parser_lets_through_is_refused_with_the_right_status(
    raw: bytes, status: int, code: str, loop: asyncio.AbstractEventLoop
) -> None:
    assert RequestParser(loop).feed(raw, True) is not None, "the parser refuses it by itself now"
    assert outcome(loop, raw) == (status, code)


def test_the_preface_of_http_2_is_an_unknown_version(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(GatewayError) as refusal:
        Arrival(loop).feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 32 * 1024, RULES)
    assert refusal.value.code == "unknown_version"


def test_fields_that_imitate_dashed_ones_don_t_reach_the_upstream(
    loop: asyncio.AbstractEventLoop,
) -> None:
    headers = arrive(loop, on_get(b"X_Y: a", b"X-Y: b")).headers
    assert headers.fields() == [(b"X-Y", b"b")]


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (on_get(b"X:"), ((b"X", b""),)),
        (on_get(b"X:", b"Y: b"), ((b"X", b""), (b"Y", b"b"))),
        (on_get(b"X: \t a b \t "), ((b"X", b"a b"),)),
        (on_get(b"X: a\tb"), ((b"X", b"a\tb"),)),
        (on_get(b"x-wIRE: \xff\xc3\xa9"), ((b"x-wIRE", b"\xff\xc3\xa9"),)),
        (on_get(b"Cookie: a", b"Cookie: b"), ((b"Cookie", b"a"), (b"Cookie", b"b"))),
    ],
)
def test_fields_come_as_they_were_on_the_wire_without_outer_blanks(
    raw: bytes, fields: tuple[tuple[bytes, bytes], ...], loop: asyncio.AbstractEventLoop
) -> None:
    parsed = RequestParser(loop).feed(raw, True)
    assert parsed is not None
    assert parsed.raw_headers == ((b"Host", b"a"), *fields)


def test_the_target_is_given_byte_for_byte(loop: asyncio.AbstractEventLoop) -> None:
    target = b"/a%2e%2E//b;c=1?q=%zz&\\"
    parsed = RequestParser(loop).feed(with_line(b"GET " + target + b" HTTP/1.1"), True)
    assert parsed is not None
    assert parsed.path.encode("ascii") == target


def test_names_and_values_are_bounded_by_our_limits_alone(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """The parser's own limits would answer without a code of ours."""
    long = b"x" * 500_000
    many = [b"X-%d: y" % number for number in range(2000)]
    parsed = RequestParser(loop).feed(on_get(b"X: " + long, long + b": y", *many), True)
    assert parsed is not None
    assert len(parsed.raw_headers) == 2003


# -- requests: one head after another ---------------------------------------------------------

HEADS = {
    "plain": GET + b"\r\n",
    "no fields": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "length": on_post(b"Content-Length: 5"),
    "no length": on_post(b"Content-Length: 0"),
    "chunked": on_post(b"Transfer-Encoding: chunked"),
    "expecting": on_post(b"Content-Length: 5", b"Expect: 100-continue"),
    "HEAD": with_line(b"HEAD / HTTP/1.1"),
    "h2c": on_get(b"Connection: Upgrade", b"Upgrade: h2c"),
    "websocket": on_get(b"Connection: Upgrade", b"Upgrade: websocket"),
    "websocket with a body": on_post(
        b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 5"
    ),
    "upgrade that isn't": on_get(b"Upgrade: websocket"),
    "compressed": on_post(b"Content-Length: 5", b"Content-Encoding: gzip"),
    "CONNECT": with_line(b"CONNECT a:443 HTTP/1.1"),
}


def parts(parsed: ParsedRequest | None) -> tuple[object, ...]:
    assert parsed is not None
    return (parsed.method, parsed.path, parsed.version, parsed.raw_headers, parsed.upgrade)


def read_alone(loop: asyncio.AbstractEventLoop, raw: bytes) -> tuple[object, ...]:
    return parts(RequestParser(loop).feed(raw, True))


@pytest.mark.parametrize("second", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("first", HEADS.values(), ids=HEADS)
def test_one_parser_reads_any_head_after_any_other(
    first: bytes, second: bytes, loop: asyncio.AbstractEventLoop
) -> None:
    """It sees no body in between, takes none of a head for one, and keeps nothing of it."""
    parser = RequestParser(loop)
    for raw in (first, second, first):
        assert parts(parser.feed(raw, True)) == read_alone(loop, raw)


def test_a_head_may_come_line_by_line(loop: asyncio.AbstractEventLoop) -> None:
    parser = RequestParser(loop)
    for raw in HEADS.values():
        lines = raw.splitlines(keepends=True)
        for line in lines[:-1]:
            assert parser.feed(line, False) is None
        assert parts(parser.feed(lines[-1], True)) == read_alone(loop, raw)


@pytest.mark.parametrize(
    ("raw", "complete"),
    [
        (GET + b"\r\n" + GET + b"\r\n", True),
        (GET + b"\r\n", False),
        (GET, True),
        (b"\r\n", True),
    ],
    ids=["two heads", "a head too soon", "no end", "nothing"],
)
def test_a_head_that_ends_elsewhere_than_it_was_said_to_is_refused(
    raw: bytes, complete: bool, loop: asyncio.AbstractEventLoop
) -> None:
    with pytest.raises(GatewayError, match="ends elsewhere"):
        RequestParser(loop).feed(raw, complete)


def test_after_a_refusal_the_parser_is_as_new(loop: asyncio.AbstractEventLoop) -> None:
    parser = RequestParser(loop)
    for raw, _ in REFUSED_BY_THE_PARSER.values():
        with pytest.raises(GatewayError):
            parser.feed(raw, True)
        assert parts(parser.feed(GET + b"\r\n", True)) == read_alone(loop, GET + b"\r\n")


@pytest.mark.parametrize("whole", [True, False], ids=["at once", "byte by byte"])
def test_a_trailer_never_becomes_a_field_of_a_later_message(
    whole: bool, loop: asyncio.AbstractEventLoop
) -> None:
    head = on_post(b"Transfer-Encoding: chunked")
    body = b"5\r\nhello\r\n0\r\nX-Trailer: t\r\nHost: evil\r\n\r\n"
    arrival = Arrival(loop)
    data = (head + body) * 3
    seen = 0
    while data:
        arrived, data = arrival.feed(data, 32 * 1024, RULES)
        assert arrived is not None
        assert list(arrived.headers.keys()) == []
        assert arrived.host == "a"
        seen += 1
        intake = Intake(loop, lambda open_: None, arrived.framing, 1000)
        for end in range(1, len(body)) if not whole else ():
            assert intake.feed(body[end - 1 : end]) is None
        rest = intake.feed(data if whole else body[-1:] + data[len(body) :])
        assert rest is not None
        assert intake.inflow.ready() == b"hello"
        data = rest
    assert seen == 3


@pytest.mark.parametrize(
    ("lines", "upgrade"),
    [
        ((b"Connection: Upgrade", b"Upgrade: websocket"), True),
        ((b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket"), True),
        ((b"Connection: Upgrade", b"Upgrade: h2c"), True),
        ((b"Upgrade: websocket",), False),
        ((b"Connection: Upgrade",), False),
    ],
)
def test_the_parser_says_when_a_request_asks_for_another_protocol(
    lines: tuple[bytes, ...], upgrade: bool, loop: asyncio.AbstractEventLoop
) -> None:
    parsed = RequestParser(loop).feed(on_get(*lines), True)
    assert parsed is not None
    assert parsed.upgrade is upgrade


# -- responses --------------------------------------------------------------------------------

REFUSED_RESPONSES = {
    # The parser forgives these, and clients may read them differently.
    "bare line feed": OK + b"X: a\nY: b\r\n\r\n",
    "bare line feed after the status": b"HTTP/1.1 200 OK\nX: a\r\n\r\n",
    "folded line": OK + b"X: a\r\n b\r\n\r\n",
    "line folded by a tab": OK + b"X: a\r\n\tb\r\n\r\n",
    "control character in a value": OK + b"X: a\x01b\r\n\r\n",
    "delete in a value": OK + b"X: \x7f\r\n\r\n",
    "NUL in the reason": b"HTTP/1.1 200 a\x00\r\n\r\n",
    "carriage return in the reason": b"HTTP/1.1 200 a\rb\r\n\r\n",
    "empty line first": b"\r\n" + OK + b"\r\n",
    "RTSP": b"RTSP/1.0 200 OK\r\n\r\n",
    "ICE": b"ICE/1.0 200 OK\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    # The parser refuses these by itself.
    "NUL in a value": OK + b"X: a\x00\r\n\r\n",
    "bare carriage return": OK + b"X: a\rb\r\n\r\n",
    "space before the colon": OK + b"X : a\r\n\r\n",
    "parenthesis in a name": OK + b"X(: a\r\n\r\n",
    "high byte in a name": OK + b"X\xe9: a\r\n\r\n",
    "no colon": OK + b"abc\r\n\r\n",
    "no name": OK + b": a\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 1000 OK\r\n\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n\r\n",
    "http/1.1": b"http/1.1 200 OK\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "length beside coding": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "length +5": OK + b"Content-Length: +5\r\n\r\n",
    "length 5, 5": OK + b"Content-Length: 5, 5\r\n\r\n",
    "length 2^64": OK + b"Content-Length: 18446744073709551616\r\n\r\n",
    "two heads": OK + b"\r\n" + OK + b"\r\n",
    "half a head": OK,
}


@pytest.mark.parametrize("raw", REFUSED_RESPONSES.values(), ids=REFUSED_RESPONSES)
def test_a_malformed_response_is_the_upstreams_fault(
    raw: bytes, loop: asyncio.AbstractEventLoop
) -> None:
    with pytest.raises(GatewayError) as refusal:
        ResponseParser(loop).read(raw)
    assert (refusal.value.status, refusal.value.code) == (502, "upstream_invalid")


RESPONSES = {
    "length": OK + b"Content-Length: 5\r\n\r\n",
    "chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n",
    "until close": OK + b"\r\n",
    "closing": OK + b"Connection: close\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\n\r\n",
    "high bytes in the reason": b"HTTP/1.1 200 \xff\r\n\r\n",
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: a\r\nLink: b\r\n\r\n",
    "101": b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "bare 101": b"HTTP/1.1 101 S\r\n\r\n",
    "204 with a length": b"HTTP/1.1 204 N\r\nContent-Length: 9\r\n\r\n",
    "304 with a length": b"HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n",
    "304 with a coding": b"HTTP/1.1 304 N\r\nTransfer-Encoding: chunked\r\n\r\n",
    "upgrade offered": OK + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "cookies": OK + b"Set-Cookie: a\r\nSet-Cookie: b\r\nX:\r\n\r\n",
    "compressed": OK + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\n",
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "600": b"HTTP/1.1 600 X\r\n\r\n",
    "000": b"HTTP/1.1 000 X\r\n\r\n",
}


@pytest.mark.parametrize("second", RESPONSES.values(), ids=RESPONSES)
@pytest.mark.parametrize("first", RESPONSES.values(), ids=RESPONSES)
def test_one_parser_reads_any_response_head_after_any_other(
    first: bytes, second: bytes, loop: asyncio.AbstractEventLoop
) -> None:
    """Whatever bodies the heads announce, and whether or not they say they are the last."""
    parser = ResponseParser(loop)
    for raw in (first, second, first):
        lines = raw[:-4].split(b"\r\n")
        version, _, status = lines[0].partition(b" ")
        fields = [line.partition(b":") for line in lines[1:]]
        read = parser.read(raw)
        assert read.code == int(status[:3])
        assert read.version == (1, int(version[-1:]))
        assert list(read.raw_headers) == [(name, value.strip()) for name, _, value in fields]


# -- the parsers themselves -------------------------------------------------------------------


def test_aiohttp_still_exports_the_parsers() -> None:
    assert {"HttpRequestParser", "HttpResponseParser"} <= set(aiohttp.http.__all__)


def test_the_compiled_parsers_are_in_use() -> None:
    require_c_parsers()


@pytest.mark.parametrize("name", ["HttpRequestParser", "HttpResponseParser"])
def test_the_parsers_take_the_keywords_that_they_are_made_with(name: str) -> None:
    """The compiled ones would refuse an unknown one only when a connection comes."""
    made = getattr(aiohttp.http, name)
    keywords: dict[str, Any] = {
        "max_line_size": 1, "max_headers": 1, "max_field_size": 1, "response_with_body": False,
        "read_until_eof": True, "auto_decompress": False,
    }  # fmt: skip
    made(None, None, 65536, **keywords)
    with pytest.raises(TypeError):
        made(None, None, 65536, no_such_keyword=1)


def test_the_fallback_has_the_same_keywords() -> None:
    """It is never used, but its signature is the only one that can be read."""
    import aiohttp.http_parser

    signature = inspect.signature(aiohttp.http_parser.HttpRequestParserPy)
    assert {"response_with_body", "auto_decompress", "max_headers"} <= set(signature.parameters)


def run_python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_the_compiled_parsers_starting_is_refused_with_the_fix() -> None:
    done = run_python(
        "from proxy.wire.parser import require_c_parsers; require_c_parsers()",
        AIOHTTP_NO_EXTENSIONS="1",
    )
    assert done.returncode != 0
    assert "EngineError" in done.stderr
    assert "Unset AIOHTTP_NO_EXTENSIONS" in done.stderr


STRICT = """
import asyncio
from proxy.errors import GatewayError
from proxy.wire.parser import RequestParser, ResponseParser
loop = asyncio.new_event_loop()
print(RequestParser(loop).feed(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n", True).method)
for field in (b"X: a", b"Server: a\\r\\nServer: b"):
    try:
        print(ResponseParser(loop).read(b"HTTP/1.1 200 OK\\r\\n" + field + b"\\r\\n\\r\\n").code)
    except GatewayError as error:
        print(error.code)
loop.close()
"""


@pytest.mark.parametrize(
    ("debug", "repeated"), [("", "200"), ("1", "upstream_invalid")], ids=["normal", "debug mode"]
)
def test_asyncio_s_debug_mode_makes_the_response_parser_stricter(debug: str, repeated: str) -> None:
    """Known and harmless, and the reason why a service may fail in a developer's shell only."""
    done = run_python(STRICT, PYTHONASYNCIODEBUG=debug)
    assert done.stdout.split() == ["GET", "200", repeated], done.stderr
