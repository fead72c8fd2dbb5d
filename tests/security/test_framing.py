"""Where a request's body ends: whatever two readers could settle differently is refused.

Each row hides a second request, `/smuggled`, where a reader of the other persuasion would
find it. Asserted is what reached the origin, not what Sidegate meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.security.stage import Malformed, read_answers, staged

HIDDEN: Final = b"GET /smuggled HTTP/1.1\r\nHost: service.test\r\n\r\n"
POST: Final = b"POST /visible HTTP/1.1\r\nHost: service.test\r\n"
CHUNKED: Final = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Row(NamedTuple):
    """Bytes that must be refused. fields: lines after the Host of a POST. body: after them."""

    name: str
    fields: bytes
    body: bytes = HIDDEN
    status: int = 400
    code: str = "invalid_framing"


HEADS: Final = [
    Row("CL.TE", b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\nG" + HIDDEN),
    Row("TE.CL", b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"5c\r\n" + HIDDEN),
    Row("TE.CL of nothing", b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
    Row("TE.TE, one unknown", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n",
        status=501, code="unknown_coding"),
    Row("TE.TE, the unknown first", b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
        status=501, code="unknown_coding"),
    Row("chunked twice in two lines",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    Row("chunked twice", b"Transfer-Encoding: chunked, chunked\r\n"),
    Row("identity", b"Transfer-Encoding: identity\r\n", status=501, code="unknown_coding"),
    Row("gzip", b"Transfer-Encoding: gzip\r\n", status=501, code="unknown_coding"),
    Row("gzip, chunked", b"Transfer-Encoding: gzip, chunked\r\n", status=501,
        code="unknown_coding"),
    Row("chunked, gzip", b"Transfer-Encoding: chunked, gzip\r\n", status=501,
        code="unknown_coding"),
    Row("chunked, identity", b"Transfer-Encoding: chunked, identity\r\n", status=501,
        code="unknown_coding"),
    Row("xchunked", b"Transfer-Encoding: xchunked\r\n", status=501, code="unknown_coding"),
    Row("quoted", b'Transfer-Encoding: "chunked"\r\n', status=501, code="unknown_coding"),
    Row("with a parameter", b"Transfer-Encoding: chunked;q=1\r\n", status=501,
        code="unknown_coding"),
    Row("with an empty element", b"Transfer-Encoding: ,chunked\r\n"),
    Row("with an empty element behind", b"Transfer-Encoding: chunked,\r\n"),
    Row("empty coding", b"Transfer-Encoding:\r\n"),
    Row("vertical tab before", b"Transfer-Encoding: \x0bchunked\r\n", code="invalid_header"),
    Row("form feed behind", b"Transfer-Encoding: chunked\x0c\r\n", code="invalid_header"),
    Row("NUL behind", b"Transfer-Encoding: chunked\x00\r\n", code="invalid_header"),
    Row("next line (C1) before", b"Transfer-Encoding: \x85chunked\r\n", status=501,
        code="unknown_coding"),
    Row("blank before the colon", b"Transfer-Encoding : chunked\r\n", code="invalid_header"),
    Row("tab before the colon", b"Transfer-Encoding\t: chunked\r\n", code="invalid_header"),
    Row("blank before the name", b" Transfer-Encoding: chunked\r\n", code="invalid_header"),
    Row("folded", b"Transfer-Encoding:\r\n chunked\r\n", code="invalid_header"),
    Row("folded by a tab", b"Transfer-Encoding:\r\n\tchunked\r\n", code="invalid_header"),
    Row("behind a bare LF", b"X: y\nTransfer-Encoding: chunked\r\n", code="invalid_header"),
    Row("behind a bare CR", b"X: y\rTransfer-Encoding: chunked\r\n", code="invalid_header"),
    Row("behind a NUL", b"X: y\x00Transfer-Encoding: chunked\r\n", code="invalid_header"),
    Row("unequal lengths", b"Content-Length: 0\r\nContent-Length: 46\r\n"),
    Row("equal lengths", b"Content-Length: 46\r\nContent-Length: 46\r\n"),
    Row("a list of lengths", b"Content-Length: 0, 46\r\n"),
    Row("a list of equal lengths", b"Content-Length: 46, 46\r\n"),
    *(
        Row(f"Content-Length: {value.decode('latin-1')}", b"Content-Length: " + value + b"\r\n")
        for value in (
            b"+0", b"-0", b"-1", b"0x0", b"0x2e", b"4 6", b"4_6", b"46;", b"46.0", b"4e1", b"",
            b'"46"', b"0b1", b"46,", b",46", b"18446744073709551616", b"18446744073709551615",
            b"9223372036854775808", b"99999999999999999999999999", b"\xb2", b"four",
        )
    ),
    Row("length with a vertical tab", b"Content-Length: \x0b46\r\n", code="invalid_header"),
    Row("length with a blank before the colon", b"Content-Length : 46\r\n", code="invalid_header"),
    Row("folded length", b"Content-Length:\r\n 46\r\n", code="invalid_header"),
]  # fmt: skip


@pytest.mark.parametrize("row", HEADS, ids=lambda row: row.name)
async def test_an_ambiguous_length_reaches_nobody(tmp_path: Path, row: Row) -> None:
    async with staged(tmp_path) as stage:
        await stage.refused(POST + row.fields + b"\r\n" + row.body + HIDDEN, row.status, row.code)
        assert stage.witness.raw.bytes_received == b""


async def test_http_1_0_knows_no_codings(tmp_path: Path) -> None:
    head = b"POST /visible HTTP/1.0\r\nHost: service.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with staged(tmp_path) as stage:
        await stage.refused(head + b"0\r\n\r\n" + HIDDEN, 400, "invalid_framing")
        assert stage.witness.raw.bytes_received == b""


CHUNKS: Final = [
    ("0x prefix", b"0x2\r\nhi\r\n0\r\n\r\n"),
    ("plus sign", b"+2\r\nhi\r\n0\r\n\r\n"),
    ("minus sign", b"-2\r\nhi\r\n0\r\n\r\n"),
    ("underscore", b"0_2\r\nhi\r\n0\r\n\r\n"),
    ("blank before", b" 2\r\nhi\r\n0\r\n\r\n"),
    ("blank behind", b"2 \r\nhi\r\n0\r\n\r\n"),
    ("tab behind", b"2\t\r\nhi\r\n0\r\n\r\n"),
    ("vertical tab behind", b"2\x0b\r\nhi\r\n0\r\n\r\n"),
    ("no digit", b"\r\nhi\r\n0\r\n\r\n"),
    ("no digit, an extension", b";x\r\nhi\r\n0\r\n\r\n"),
    ("no hexadecimal", b"g\r\nhi\r\n0\r\n\r\n"),
    ("2^64 + 2", b"10000000000000002\r\nhi\r\n0\r\n\r\n"),
    ("2^32 and more", b"fffffffffffffffff\r\nhi\r\n0\r\n\r\n"),
    ("zeros without end", b"0" * 17 + b"2\r\nhi\r\n0\r\n\r\n"),
    ("bare LF behind the size", b"2\nhi\r\n0\r\n\r\n"),
    ("bare CR behind the size", b"2\rhi\r\n0\r\n\r\n"),
    ("bare LF behind the data", b"2\r\nhi\n0\r\n\r\n"),
    ("bare CR behind the data", b"2\r\nhi\r0\r\n\r\n"),
    ("nothing behind the data", b"2\r\nhi0\r\n\r\n"),
    ("data longer than its size", b"2\r\nhidden\r\n0\r\n\r\n"),
    ("data shorter than its size", b"5\r\nhi\r\n0\r\n\r\nX: y\r\n\r\n"),
    ("bare LF in an extension", b"2;a\nb\r\nhi\r\n0\r\n\r\n"),
    ("bare CR in an extension", b"2;a\rb\r\nhi\r\n0\r\n\r\n"),
    ("NUL in an extension", b"2;a\x00\r\nhi\r\n0\r\n\r\n"),
    ("extension without end", b"2;" + b"a" * 5000 + b"\r\nhi\r\n0\r\n\r\n"),
    ("bare LF behind the last size", b"2\r\nhi\r\n0\n\r\n"),
    ("bare LF at the very end", b"2\r\nhi\r\n0\r\n\n"),
    ("trailer with a blank before the colon", b"2\r\nhi\r\n0\r\nX : y\r\n\r\n"),
    ("trailer folded", b"2\r\nhi\r\n0\r\nX: y\r\n z\r\n\r\n"),
    ("trailer without a colon", b"2\r\nhi\r\n0\r\nGET /smuggled HTTP/1.1\r\n\r\n"),
    ("trailer without a name", b"2\r\nhi\r\n0\r\n: y\r\n\r\n"),
    ("trailer with a bare LF", b"2\r\nhi\r\n0\r\nX: y\nHost: z\r\n\r\n"),
    ("trailer with a NUL", b"2\r\nhi\r\n0\r\nX: \x00\r\n\r\n"),
    ("trailer without end", b"2\r\nhi\r\n0\r\nX: " + b"y" * 5000 + b"\r\n\r\n"),
    ("trailers without end", b"2\r\nhi\r\n0\r\n" + b"X: y\r\n" * 5000 + b"\r\n"),
]


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "after the head"])
@pytest.mark.parametrize(("name", "body"), CHUNKS, ids=[name for name, _ in CHUNKS])
async def test_a_malformed_chunk_completes_no_request(
    tmp_path: Path, name: str, body: bytes, apart: bool
) -> None:
    """Whatever was sent ahead, the origin never reads a request to its end."""
    async with staged(tmp_path) as stage:
        data = CHUNKED + (b"1\r\n-\r\n" if apart else b"") + body + HIDDEN
        if apart:
            # A body that is still coming is on its way to the origin already.
            cut = len(CHUNKED) + 6
            [answer] = await stage.play_in_pieces([data[:cut], data[cut:]])
        else:
            [answer] = await stage.play(data)
        assert (answer.status, answer.error) == (400, "invalid_framing")
        assert answer.headers["connection"] == "close"
        assert stage.witness.heard == []


@pytest.mark.parametrize(
    "body",
    [
        b"2\r\nhi\r\n0\r\n\r\n",
        b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
        b"0002\r\nhi\r\n000\r\n\r\n",
        b"2;name=value\r\nhi\r\n0;last\r\n\r\n",
        b'2 ; name="quoted; \xff"\r\nhi\r\n0\r\n\r\n',
        b"2\r\nhi\r\n0\r\nX-Check: 1\r\n\r\n",
    ],
)
async def test_a_well_formed_chunked_body_is_framed_anew(tmp_path: Path, body: bytes) -> None:
    """Nothing of the client's own framing gets through: no extension, no padding, no trailer."""
    follow = b"GET /next HTTP/1.1\r\nHost: service.test\r\nConnection: close\r\n\r\n"
    async with staged(tmp_path) as stage:
        answers = await stage.play(CHUNKED + body + follow)
        assert [answer.status for answer in answers] == [200, 200]
        first, second = stage.witness.heard
        assert (first.target, first.body, second.target) == ("/visible", b"hi", "/next")
        received = stage.witness.raw.bytes_received.lower()
        for trace in (b";", b"\r\n000", b"x-check", b"trailer"):
            assert trace not in received


FORBIDDEN: Final = [
    b"Host: evil.test", b"Content-Length: 9", b"Transfer-Encoding: chunked",
    b"Authorization: Basic c3Bvb2Y=", b"Cookie: admin=1", b"X-Forwarded-For: 6.6.6.6",
    b"X-Request-ID: spoofed-by-trailer", b"Connection: close", b"Expect: 100-continue",
    b"Content-Type: text/evil", b"X-Role: admin", b"Set-Cookie: a=b", b"Upgrade: websocket",
]  # fmt: skip


@pytest.mark.parametrize("trailer", FORBIDDEN)
async def test_a_trailer_never_becomes_a_field(tmp_path: Path, trailer: bytes) -> None:
    """Neither of its own request nor of the next one on the connection, nor upstream."""
    message = CHUNKED + b"2\r\nhi\r\n0\r\n" + trailer + b"\r\n\r\n"
    follow = b"GET /next HTTP/1.1\r\nHost: service.test\r\n\r\n"
    plain = CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"
    async with staged(tmp_path) as stage:
        answers = await stage.play(message + follow + plain, half_close=True)
        assert [answer.status for answer in answers] == [200, 200, 200]
        name, _, value = trailer.decode().partition(": ")
        for heard in stage.witness.heard:
            assert value not in heard.all(name.lower())
        assert stage.witness.targets == ["/visible", "/next", "/visible"]


async def test_a_length_is_taken_at_its_word(tmp_path: Path) -> None:
    """What lies within the length is body, what lies behind it is the next request."""
    length = b"Content-Length: %d\r\n\r\n" % len(HIDDEN)
    after = b"GET /behind HTTP/1.1\r\nHost: service.test\r\n\r\n"
    async with staged(tmp_path) as stage:
        await stage.play(POST + length + HIDDEN + after, half_close=True)
        assert stage.witness.targets == ["/visible", "/behind"]
        assert stage.witness.heard[0].body == HIDDEN


async def test_a_body_that_stops_short_completes_no_request(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        short = POST + b"Content-Length: 100\r\n\r\n" + HIDDEN
        [answer] = await stage.play(short, half_close=True)
        assert (answer.status, answer.error) == (400, "incomplete_body")
        assert stage.witness.heard == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
async def test_a_body_where_none_is_usual_is_still_a_body(tmp_path: Path, method: str) -> None:
    """A proxy that ignores the length of a GET leaves its body to be read as a request."""
    head = f"{method} /visible HTTP/1.1\r\nHost: service.test\r\nContent-Length: {len(HIDDEN)}"
    async with staged(tmp_path) as stage:
        await stage.play(head.encode() + b"\r\n\r\n" + HIDDEN, method, half_close=True)
        [heard] = stage.witness.heard
        assert (heard.method, heard.body) == (method, HIDDEN)


async def test_the_next_client_on_a_reused_connection_gets_its_own_answer(tmp_path: Path) -> None:
    """Desynchronising shows when a victim follows the attacker on the upstream connection."""
    attacks = [POST + row.fields + b"\r\n" + row.body for row in HEADS]
    attacks += [CHUNKED + body for _, body in CHUNKS]

    def reply(heard: object) -> bytes:
        body = getattr(heard, "target", "").encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async with staged(tmp_path, reply) as stage:
        for number, attack in enumerate(attacks):
            await stage.gateway.raw(attack + HIDDEN)
            victim = b"GET /victim-%d HTTP/1.1\r\nHost: service.test\r\n\r\n" % number
            [answer] = await stage.play(victim, half_close=True)
            assert answer.body == b"/victim-%d" % number
        assert "/smuggled" not in stage.witness.targets


def test_the_readers_of_these_tests_can_say_no() -> None:
    """The oracle has to fail where it should, or nothing above means anything."""
    for data in (
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        with pytest.raises(Malformed):
            read_answers(data)
