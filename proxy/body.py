"""A message's body: bytes that are here, or a stream of them. Pure but for waiting.

Policies import these from `proxy.contract`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from proxy.errors import GatewayError, Refused


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


class Checks(Protocol):
    """Something that looks at a body as it passes."""

    def feed(self, data: bytes) -> None:
        """Take a piece. Raises Refused."""
        ...

    def finish(self) -> None:
        """There is no more. Raises Refused."""
        ...


class CheckedStream:
    """A body that is checked on its way.

    Of a body that is refused the recipient gets no end, and so no body: the last piece is
    held back until all checks are finished, where `length` tells which it is.

    length: bytes to come; None while it is unknown. note: hears of a refusal; True passes
    all the same.
    """

    __slots__ = ("_body", "_checks", "_left", "_note")

    def __init__(
        self,
        body: BodyStream,
        length: int | None,
        checks: list[Checks],
        note: Callable[[GatewayError], bool],
    ) -> None:
        self._body = body
        self._left = length
        self._checks = checks
        self._note = note

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._body.__anext__()
        except StopAsyncIteration:
            await self._hold(b"", ended=True)
            raise
        if self._left is not None:
            self._left -= len(piece)
        await self._hold(piece, ended=self._left == 0)
        return piece

    async def _hold(self, piece: bytes, *, ended: bool) -> None:
        checks = self._checks
        if ended:
            self._checks = []
        try:
            for check in checks:
                if piece:
                    check.feed(piece)
                if ended:
                    check.finish()
        except Refused as refused:
            self._checks = []
            if not self._note(refused):
                refused.close = True
                await self._body.aclose()
                raise

    async def aclose(self) -> None:
        """Nobody will read the rest."""
        self._checks = []
        await self._body.aclose()
