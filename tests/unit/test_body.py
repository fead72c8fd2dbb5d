"""Reading a body whole: all of it, or an error that says why not."""

from __future__ import annotations

import pytest

from proxy.body import Body, gather, glance
from proxy.errors import GatewayError


class Pieces:
    """A stream of these pieces, which remembers whether it was closed."""

    def __init__(self, *pieces: bytes | GatewayError) -> None:
        self._pieces = list(pieces)
        self.closed = False

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        piece = self._pieces.pop(0)
        if isinstance(piece, GatewayError):
            raise piece
        return piece

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("body", [b"abcdef", Pieces(b"abc", b"def")])
async def test_a_body_of_the_limit_is_read(body: bytes | Pieces) -> None:
    assert await gather(body, 6) == b"abcdef"


async def test_more_than_the_limit_is_refused_and_let_go_of() -> None:
    with pytest.raises(GatewayError, match="body_too_large"):
        await gather(b"abcdef", 5)
    stream = Pieces(b"abc", b"def", b"ghi")
    with pytest.raises(GatewayError, match="body_too_large"):
        await gather(stream, 5)
    assert stream.closed
    assert await gather(stream, 9) == b"ghi"


async def test_a_sender_that_fails_is_told_of() -> None:
    with pytest.raises(GatewayError, match="incomplete_body"):
        await gather(Pieces(b"abc", GatewayError("incomplete_body")), 10)


async def read(body: Body) -> list[bytes]:
    return [body] if isinstance(body, bytes) else [piece async for piece in body]


@pytest.mark.parametrize("limit", [6, 100])
async def test_a_glance_at_a_short_body_is_all_of_it(limit: int) -> None:
    for body in (b"abcdef", Pieces(b"abc", b"def")):
        seen, left = await glance(body, limit)
        assert seen == left == b"abcdef"


@pytest.mark.parametrize("limit", [0, 1, 3, 5])
async def test_a_glance_leaves_a_long_body_as_it_was(limit: int) -> None:
    stream = Pieces(b"abc", b"def", b"ghi")
    seen, left = await glance(stream, limit)
    assert seen == b"abcdefghi"[:limit]
    assert not isinstance(left, bytes)
    again, left = await glance(left, 4)
    assert again == b"abcd"
    assert b"".join(await read(left)) == b"abcdefghi"
    assert await glance(b"abcdef", 2) == (b"ab", b"abcdef")


async def test_a_body_that_was_glanced_at_can_be_let_go_of() -> None:
    stream = Pieces(b"abc", b"def")
    _, left = await glance(stream, 1)
    assert not isinstance(left, bytes)
    await left.aclose()
    assert stream.closed


async def test_a_sender_that_fails_later_is_told_of_later() -> None:
    error = GatewayError("incomplete_body")
    with pytest.raises(GatewayError, match="incomplete_body"):
        await glance(Pieces(b"abc", error), 10)
    _, left = await glance(Pieces(b"abc", error), 1)
    with pytest.raises(GatewayError, match="incomplete_body"):
        await read(left)
