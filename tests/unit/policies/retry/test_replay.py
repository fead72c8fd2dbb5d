"""A streamed body that can be sent again while it is small."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from proxy.errors import GatewayError
from proxy.policies.retry.replay import Replay


class Source:
    """A body of pieces; an exception among them is raised in its turn."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = list(pieces)
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def aclose(self) -> None:
        self.closed = True


async def read(replay: Replay, count: int = 999) -> list[bytes]:
    body = replay.body()
    pieces: list[bytes] = []
    async for piece in body:
        pieces.append(piece)
        if len(pieces) == count:
            break
    return pieces


async def test_it_begins_again_and_goes_on_where_the_source_is() -> None:
    replay = Replay(Source(b"a", b"b", b"c"), 10)
    assert await read(replay, 2) == [b"a", b"b"]
    assert await read(replay, 1) == [b"a"]
    assert await read(replay) == [b"a", b"b", b"c"]
    assert await read(replay) == [b"a", b"b", b"c"]
    assert replay.possible


async def test_a_body_of_just_the_limit_can_be_sent_again_and_one_byte_more_cannot() -> None:
    fits, exceeds = Replay(Source(b"abc", b"de"), 5), Replay(Source(b"abc", b"def"), 5)
    await read(fits)
    assert fits.possible
    assert await read(exceeds) == [b"abc", b"def"]
    assert not exceeds.possible


async def test_what_can_not_be_sent_again_takes_no_memory() -> None:
    replay = Replay(Source(b"a" * 6, *[b"b" * 6] * 100), 5)
    assert len(await read(replay)) == 101
    assert replay._pieces is None


async def test_a_failing_client_fails_the_body() -> None:
    replay = Replay(Source(b"a", GatewayError("incomplete_body")), 10)
    with pytest.raises(GatewayError, match="incomplete_body"):
        await read(replay)


async def test_closing_closes_the_source() -> None:
    source = Source(b"a")
    replay = Replay(source, 10)
    await replay.body().aclose()
    assert source.closed
    assert not replay.possible
