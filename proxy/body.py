"""A message's body: bytes that are here, or a stream of them. Pure but for waiting.

Policies import these from `proxy.contract`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from proxy.errors import GatewayError


class BodyStream(Protocol):
    """A body that arrives piece by piece; reading it is what lets the sender go on."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the pieces, none of them empty."""
        ...

    async def __anext__(self) -> bytes:
        """The next piece. Raises GatewayError when the sender fails to finish the body."""
        ...

    async def aclose(self) -> None:
        """Nobody will read the rest. Call it on a body that is replaced rather than sent."""
        ...


Body = bytes | BodyStream
"""A whole body, or one that streams."""


async def gather(body: Body, limit: int) -> bytes:
    """All of a body, for a policy that has to see it whole. limit: most bytes of it.

    Raises GatewayError `body_too_large` beyond the limit, and what the stream raises when
    its sender fails. After either the body can't be read again.
    """
    if isinstance(body, bytes):
        if len(body) > limit:
            raise GatewayError("body_too_large")
        return body
    pieces: list[bytes] = []
    size = 0
    async for piece in body:
        size += len(piece)
        if size > limit:
            await body.aclose()
            raise GatewayError("body_too_large")
        pieces.append(piece)
    return b"".join(pieces)


async def glance(body: Body, limit: int) -> tuple[bytes, Body]:
    """The beginning of a body, and a body as if none of it had been read.

    All of it, and then the second is bytes as well, when there are at most `limit` bytes.
    Raises GatewayError when the sender fails before so much has come.
    """
    if isinstance(body, bytes):
        return body[:limit], body
    pieces: deque[bytes] = deque()
    size = 0
    async for piece in body:
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            return b"".join(pieces)[:limit], Resumed(pieces, body)
    whole = b"".join(pieces)
    return whole, whole


class Resumed:
    """A stream from its beginning, though some of it has been read."""

    __slots__ = ("_pieces", "_rest")

    def __init__(self, pieces: deque[bytes], rest: BodyStream) -> None:
        self._pieces = pieces
        self._rest = rest

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._pieces:
            return self._pieces.popleft()
        return await self._rest.__anext__()

    async def aclose(self) -> None:
        """Nobody will read the rest."""
        self._pieces.clear()
        await self._rest.aclose()
