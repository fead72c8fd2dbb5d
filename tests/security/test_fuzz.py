"""Mutations of valid exchanges through the running proxy, judged by a reader of its own.

Four things hold whatever is sent. The client gets valid HTTP/1.1 or a closed connection.
The origin gets nothing but well-formed requests. Each that the origin got whole belongs to
one answer that came from it, in order. And what the origin is told of the client is true.

The reader is h11, which shares no code with the parser of Sidegate. `--hypothesis-seed`
gives other cases than those of every run, and HYPOTHESIS_EXAMPLES more of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.client import TIMEOUT, Answer
from tests.security.stage import Heard, Last, Malformed, Stage, read_answers, staged

EXAMPLES: Final = int(os.environ.get("HYPOTHESIS_EXAMPLES", "400"))
SETTINGS: Final = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="HYPOTHESIS_EXAMPLES" not in os.environ,
    database=None,
    # One proxy for all cases of a test: each case uses a connection of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MARK: Final = "x-origin"

VALID: Final = [
    b"GET / HTTP/1.1\r\nHost: service.test\r\n\r\n",
    b"GET /a/b?c=d HTTP/1.1\r\nHost: service.test\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n",
    b"HEAD /h HTTP/1.1\r\nHost: service.test\r\nConnection: keep-alive\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: service.test\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /c HTTP/1.1\r\nHost: service.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\n\r\n",
    b"PUT /t HTTP/1.1\r\nHost: service.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
    b"1;e=f\r\nh\r\n4\r\nello\r\n0\r\nX-T: u\r\n\r\n",
    b"GET http://service.test/abs HTTP/1.1\r\nHost: service.test\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: service.test:80\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
    b"DELETE /d%20e HTTP/1.0\r\nHost: service.test\r\nConnection: keep-alive\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: service.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: service.test\r\nExpect: 100-continue\r\n"
    b"Content-Length: 2\r\n\r\nhi",
]
# What parsers stumble over.
PIECES: Final = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\x00", b"\x0b", b"\x85", b"\xff", b":", b",",
    b";", b"0", b"-1", b"+5", b"0x5", b"5, 5", b"18446744073709551616", b"chunked", b"identity",
    b"\r\n ", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"/../", b"%2e%2e/", b"//", b"%00", b"%", b"#",
    b"0\r\n\r\n", b"5\r\nhello\r\n", b"X_Forwarded_For: 6.6.6.6\r\n", b"Host: evil.test\r\n",
    b"Content-Length: 0\r\n", b"Content-Length: 5\r\n", b"Content-Length : 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding : chunked\r\n", b"X-Forwarded-For: 6.6.6.6\r\n", b"Connection: close\r\n",
    b"Connection: Content-Length, Host, X-Forwarded-For\r\n", b"Upgrade: h2c\r\n",
    b"GET /smuggled HTTP/1.1\r\nHost: service.test\r\n\r\n", b"Expect: 100-continue\r\n",
]  # fmt: skip

places = st.integers(0, 10_000)
mutations = st.one_of(
    st.tuples(st.just("insert"), places, st.sampled_from(PIECES)),
    st.tuples(st.just("replace"), places, st.sampled_from(PIECES)),
    st.tuples(st.just("insert"), places, st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("delete"), places, st.just(b"1")),
    st.tuples(st.just("delete"), places, st.just(b"1234")),
    st.tuples(st.just("repeat"), places, st.just(b"12345678")),
    st.tuples(st.just("line"), places, st.sampled_from(PIECES)),
    st.tuples(st.just("cut"), places, st.just(b"")),
)
streams = st.tuples(
    st.lists(st.sampled_from(VALID), min_size=1, max_size=3), st.lists(mutations, max_size=5)
)


def mutate(messages: list[bytes], changes: list[tuple[str, int, bytes]]) -> bytes:
    """The bytes of the messages, changed here and there."""
    data = b"".join(messages)
    for kind, place, piece in changes:
        at = place % (len(data) + 1)
        if kind == "line":
            # Where a field line may stand, so that more of the cases get past the parser.
            at = data.find(b"\r\n", at) + 2 if b"\r\n" in data[at:] else at
        if kind in ("insert", "line"):
            data = data[:at] + piece + data[at:]
        elif kind == "replace":
            data = data[:at] + piece + data[at + len(piece) :]
        elif kind == "delete":
            data = data[:at] + data[at + len(piece) :]
        elif kind == "repeat":
            data = data[:at] + data[at : at + len(piece)] * 2 + data[at + len(piece) :]
        else:
            data = data[: max(at, 1)]
    return data


def _ok(heard: Heard) -> bytes:
    body = b"" if heard.method == "HEAD" else b"ok"
    return b"HTTP/1.1 200 OK\r\nX-Origin: 1\r\nContent-Length: 2\r\n\r\n" + body


async def _exchange(stage: Stage, pieces: list[bytes]) -> bytes:
    """Send the pieces, each in a write of its own, and read to the end of the connection.

    On a bare socket, since streams throw away at a reset what came before it.
    """
    loop = asyncio.get_running_loop()
    received = b""
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", stage.gateway.port))
        with contextlib.suppress(OSError):
            for piece in pieces:
                await loop.sock_sendall(sock, piece)
                for _ in range(4):
                    await asyncio.sleep(0)
            sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(TIMEOUT):
                while more := await loop.sock_recv(sock, 65536):
                    received += more
    return received


def _split(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(ends) if begin < end]


def _speaks_the_truth(heard: Heard, port: int) -> None:
    assert heard.all("x-forwarded-for") == ["127.0.0.1"]
    assert heard.all("x-forwarded-proto") == ["http"]
    assert heard.all("x-forwarded-port") == [str(port)]
    # HTTP/1.0 need not name a host; the origin is then called by its address.
    assert heard.all("x-forwarded-host") in ([heard.one("host")], [])
    assert len(heard.all("x-request-id")) == len(heard.all("traceparent")) == 1
    assert heard.one("via").endswith("1.1 sidegate")
    assert not any("_" in name for name in heard.names)
    hop_by_hop = {"te", "trailer", "keep-alive", "proxy-connection", "forwarded", "x-real-ip"}
    assert hop_by_hop.isdisjoint(heard.names)


def _answers(raw: bytes, methods: tuple[str, ...]) -> list[Answer]:
    """The answers to the requests that arrived, and one more at most, a refusal.

    What was refused may have been a HEAD, which is answered without a body.
    """
    try:
        return read_answers(raw, methods)
    except Malformed:
        return read_answers(raw, (*methods, "HEAD"))


def _count_requests(data: bytes) -> int:
    """The complete requests on a connection, as h11 reads them.

    Raises h11.RemoteProtocolError for anything that is none.
    """
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    count = 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            return count
        if isinstance(event, h11.EndOfMessage):
            count += 1
            # Answered at once, since h11 reads no further before that.
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            connection.start_next_cycle()


class Said:
    """What the origin answers to `/attack`."""

    def __init__(self) -> None:
        self.data = b""

    def __call__(self, heard: Heard) -> bytes:
        return Last(self.data) if heard.target == "/attack" else _ok(heard)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
async def stage(tmp_path: Path, said: Said) -> AsyncIterator[Stage]:
    """A proxy for all cases of a test."""
    async with staged(tmp_path, said) as stage:
        yield stage
        connections = [bytes(data) for data in stage.witness.raw.received]
        assert sum(map(_count_requests, connections)) == len(stage.witness.heard)


@SETTINGS
@given(streams, st.lists(places, max_size=3))
async def test_whatever_is_sent_the_origin_hears_sense(
    stage: Stage, stream: tuple[list[bytes], list[tuple[str, int, bytes]]], cuts: list[int]
) -> None:
    data = mutate(*stream)
    since = len(stage.witness.heard)
    raw = await _exchange(stage, _split(data, cuts))
    heard = stage.witness.heard[since:]
    assert stage.witness.faults == []
    for one in heard:
        _speaks_the_truth(one, stage.gateway.port)
    answers = _answers(raw, tuple(one.method for one in heard))
    # Each request that arrived is answered by the origin; then comes one refusal, and the end.
    from_origin = [MARK in answer.headers for answer in answers]
    assert from_origin in ([True] * len(heard), [True] * len(heard) + [False])
    if len(answers) > len(heard):
        assert 400 <= answers[-1].status <= 505
        assert answers[-1].headers["connection"] == "close"


RESPONSES: Final = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
    b"1;e\r\nh\r\n4\r\nello\r\n0\r\nX-T: u\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
    b"HTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nhello",
    b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nETag: a\r\nContent-Length: 5\r\n\r\n",
]
answers_of_an_origin = st.tuples(
    st.lists(st.sampled_from(RESPONSES), min_size=1, max_size=2), st.lists(mutations, max_size=4)
)


def _read_one_response(raw: bytes) -> tuple[int, bool]:
    """Status and whether it is whole, as h11 reads it to the end of the connection.

    Raises AssertionError for bytes behind it, h11.RemoteProtocolError for a malformed head.
    """
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(raw)
    status = 0
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.EndOfMessage):
            assert connection.trailing_data[0] == b""
            return status, True
        elif event is h11.NEED_DATA:
            return status, False


@SETTINGS
@given(answers_of_an_origin, st.sampled_from([b"1.1", b"1.0"]))
async def test_whatever_is_answered_the_client_hears_sense(
    stage: Stage,
    said: Said,
    answer: tuple[list[bytes], list[tuple[str, int, bytes]]],
    version: bytes,
) -> None:
    """And the next client nothing of it."""
    said.data = mutate(*answer)
    attack = b"GET /attack HTTP/" + version + b"\r\nHost: service.test\r\nConnection: close\r\n\r\n"
    raw = await _exchange(stage, [attack])
    status, whole = _read_one_response(raw)
    if whole:
        assert not any(byte in raw.partition(b"\r\n\r\n")[0] for byte in b"\x00\x0b\x1b\x7f")
        # Without a length its end is the end of the connection.
        assert status == 204 or len(read_answers(raw)) == 1
    [next_answer] = read_answers(await _exchange(stage, [VALID[0]]))
    assert (next_answer.status, next_answer.body) == (200, b"ok")
    assert next_answer.headers[MARK] == "1"


def test_the_mutations_reach_both_sides_of_the_line() -> None:
    """Of valid and of slightly changed requests, some have to get through and some not."""
    through = refused = 0
    for message in VALID:
        for piece in PIECES:
            for place in (0, 10, 30, 60):
                data = mutate([message], [("insert", place, piece)])
                try:
                    through += _count_requests(data)
                except h11.ProtocolError:
                    refused += 1
    assert through > 300
    assert refused > 300
