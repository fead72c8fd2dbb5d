"""Mutations of valid exchanges through the running proxy, judged by a reader of its own.

Four things hold whatever is sent. The client gets valid HTTP/1.1 or a closed connection.
The origin gets nothing but well-formed requests. Each that the origin got whole belongs to
one answer that came from it, in order. And what the origin is told of the client is true.

The reader is h11, which shares no code with the parser of Sidegate. `--hypothesis-seed`
gives other cases than those of every run, and HYPOTHESIS_EXAMPLES more of them.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    b"POST /e HTTP/1.1\r\nHost: service.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
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


def _reply(heard: Heard) -> bytes:
    body = b"" if heard.method == "HEAD" else b"ok"
    return b"HTTP/1.1 200 OK\r\nX-Origin: 1\r\nContent-Length: 2\r\n\r\n" + body


def _read_by_h11(data: bytes) -> None:
    """Raises h11.RemoteProtocolError unless the bytes are requests, the last perhaps cut."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            return
        if event is h11.PAUSED:
            if connection.their_state is not h11.DONE:
                # It was asked to switch protocols, and is not going to.
                return
            connection.send(h11.Response(status_code=204, headers=[]))
            connection.send(h11.EndOfMessage())
            connection.start_next_cycle()


def _speaks_the_truth(heard: Heard, port: int) -> None:
    assert heard.all("x-forwarded-for") == ["127.0.0.1"]
    assert heard.all("x-forwarded-proto") == ["http"]
    assert heard.all("x-forwarded-port") == [str(port)]
    assert heard.all("x-forwarded-host") in ([heard.one("host")], [])
    assert len(heard.all("x-request-id")) == len(heard.all("traceparent")) == 1
    assert heard.one("via").endswith("1.1 sidegate")
    assert not any("_" in name for name in heard.names)
    hop_by_hop = {"te", "trailer", "keep-alive", "proxy-connection", "forwarded", "x-real-ip"}
    assert hop_by_hop.isdisjoint(heard.names)


def _methods_of(stage: Stage, since: int) -> tuple[str, ...]:
    return tuple(heard.method for heard in stage.witness.heard[since:])


async def _holds(stage: Stage, data: bytes) -> None:
    witness = stage.witness
    since = len(witness.heard)
    raw = await stage.gateway.raw(data, half_close=True)
    heard = witness.heard[since:]
    # A refusal is never of HEAD: its head could not be read, or it was no request.
    answers = _read(raw, tuple(one.method for one in heard))
    assert witness.faults == []
    for one in heard:
        _speaks_the_truth(one, stage.gateway.port)
    from_origin = [answer for answer in answers if MARK in answer.headers]
    assert len(from_origin) == len(heard), (data, raw)
    # Once something was refused, nothing behind it is read.
    assert all(MARK in answer.headers for answer in answers[: len(heard)])
    assert len(answers) - len(heard) <= 1


def _read(raw: bytes, methods: tuple[str, ...]) -> list[object]:
    raise NotImplementedError
