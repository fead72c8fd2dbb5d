"""Reading a body whole: all of it, or an error that says why not."""

from __future__ import annotations

import pytest

from proxy.body import gather
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
