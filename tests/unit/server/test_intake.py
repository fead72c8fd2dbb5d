"""A request's body on its way in: where it ends, how large it may get, how it breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import GatewayError
from proxy.http1.chunked import LAST_CHUNK, encode_chunk
from proxy.http1.framing import Framing
from proxy.server.intake import Intake
from proxy.wire.flow import HIGH_WATER
from tests.unit.paused_loop import PausedLoop


@pytest.fixture(scope="module")
def loop() -> Iterator[PausedLoop]:
    loop = PausedLoop()
    yield loop
    loop.close()


def an_intake(loop: asyncio.AbstractEventLoop, framing: Framing, limit: int = 1000) -> Intake:
    return Intake(loop, lambda open_: None, framing, limit)


def failure(loop: PausedLoop, intake: Intake) -> tuple[bytes, GatewayError]:
    """What could be read of a body that broke off, and why it did."""

    async def read() -> tuple[bytes, GatewayError]:
        data = b""
        try:
            async for piece in intake.inflow:
                data += piece
        except GatewayError as error:
            return data, error
        raise AssertionError("the body ended well")

    return loop.run(read())


def chunked(*pieces: bytes) -> bytes:
    return b"".join(map(encode_chunk, pieces)) + LAST_CHUNK


@pytest.mark.parametrize(
    ("framing", "pieces", "data", "rest"),
    [
        (5, [b"hello"], b"hello", b""),
        (5, [b"hel", b"lo"], b"hello", b""),
        (5, [b"helloGET"], b"hello", b"GET"),
        (5, [b"hell", b"oGET"], b"hello", b"GET"),
        ("chunked", [chunked(b"hello")], b"hello", b""),
        ("chunked", [chunked(b"hel", b"lo") + b"GET"], b"hello", b"GET"),
        ("chunked", [LAST_CHUNK], b"", b""),
        ("chunked", [b"5\r\nhel", b"lo\r\n0\r\n", b"X: y\r\n\r\nGET"], b"hello", b"GET"),
    ],
)
def test_a_body_ends_where_its_framing_says(
    framing: Framing, pieces: list[bytes], data: bytes, rest: bytes, loop: PausedLoop
) -> None:
    intake = an_intake(loop, framing)
    for piece in pieces[:-1]:
        assert intake.feed(piece) is None
        assert not intake.inflow.complete
    assert intake.feed(pieces[-1]) == rest
    assert intake.inflow.complete
    assert intake.inflow.ready() == data
    assert not intake.broken


@given(
    st.lists(st.binary(min_size=1, max_size=30), max_size=6),
    st.booleans(),
    st.lists(st.integers(0, 300), max_size=10),
)
def test_cuts_between_bytes_change_nothing(
    pieces: list[bytes], in_chunks: bool, cuts: list[int]
) -> None:
    data = b"".join(pieces) or b"x"
    raw = (chunked(*pieces) if in_chunks else data) + b"GET /"
    loop = PausedLoop()
    intake = an_intake(loop, "chunked" if in_chunks else len(data))
    edges = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    after = b""
    for begin, end in pairwise(edges):
        if intake.inflow.complete:
            after += raw[begin:end]
        else:
            after += intake.feed(raw[begin:end]) or b""
    assert intake.inflow.complete
    assert intake.inflow.ready() == b"".join(pieces) if in_chunks else data
    assert after == b"GET /"
    loop.close()


def test_a_chunked_body_may_reach_its_limit_and_not_pass_it(loop: PausedLoop) -> None:
    exact = an_intake(loop, "chunked", limit=10)
    assert exact.feed(chunked(b"12345", b"67890")) == b""
    over = an_intake(loop, "chunked", limit=10)
    assert over.feed(encode_chunk(b"12345")) is None
    assert over.feed(encode_chunk(b"678901")) is None
    data, error = failure(loop, over)
    assert data == b"12345"
    assert (error.status, error.code, error.close) == (413, "body_too_large", True)


def test_the_limit_counts_what_was_read_already(loop: PausedLoop) -> None:
    intake = an_intake(loop, "chunked", limit=10)
    for _ in range(10):
        intake.feed(encode_chunk(b"1"))
        assert intake.inflow.ready() == b"1"
    intake.feed(encode_chunk(b"1"))
    assert intake.broken


@pytest.mark.parametrize(
    "raw", [b"5\nsecret", b"secret\r\n", b"5\r\nsecret\r\n", b"0\r\nsecret\r\n"]
)
def test_a_malformed_body_is_the_clients_fault_and_isn_t_quoted(
    raw: bytes, loop: PausedLoop
) -> None:
    intake = an_intake(loop, "chunked")
    assert intake.feed(raw) is None
    _, error = failure(loop, intake)
    assert (error.status, error.code, error.close) == (400, "invalid_framing", True)
    assert "chunked body is malformed" in error.detail
    assert "secret" not in error.detail


@pytest.mark.parametrize("framing", [5, "chunked"])
def test_after_breaking_off_everything_is_thrown_away(framing: Framing, loop: PausedLoop) -> None:
    intake = an_intake(loop, framing)
    intake.feed(b"5\r\n" if framing == "chunked" else b"h")
    intake.break_off(GatewayError("request_timeout"))
    for _ in range(3):
        assert intake.feed(b"elloGET / HTTP/1.1\r\n\r\n") is None
    data, error = failure(loop, intake)
    assert len(data) <= 1
    assert (error.code, error.close) == ("request_timeout", True)


def test_a_body_that_nobody_wants_still_ends_where_it_ends(loop: PausedLoop) -> None:
    """So that the request after it can be read, and the client is not stopped."""
    gate: list[bool] = []
    size = 4 * HIGH_WATER
    intake = Intake(loop, gate.append, size, size)
    loop.run(intake.inflow.aclose())
    for _ in range(3):
        assert intake.feed(bytes(HIGH_WATER)) is None
    assert intake.feed(bytes(HIGH_WATER) + b"GET") == b"GET"
    assert gate == []
