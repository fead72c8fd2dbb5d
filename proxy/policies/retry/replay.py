"""A request body that can be sent again as long as little of it has been sent."""

from __future__ import annotations

from proxy.contract import BodyStream


class Replay:
    """Remembers what was read of a body, up to `limit` bytes.

    The body streams as ever; only what has passed is kept. Beyond the limit all of it is
    forgotten, and the body can't be sent again.
    """

    __slots__ = ("_limit", "_pieces", "_size", "_source")

    def __init__(self, source: BodyStream, limit: int) -> None:
        self._source = source
        self._limit = limit
        self._size = 0
        self._pieces: list[bytes] | None = []

    @property
    def possible(self) -> bool:
        """The body can be sent from its beginning."""
        return self._pieces is not None

    def body(self) -> BodyStream:
        """The body from its beginning. The one that was given before must not be read on."""
        return _Reading(self)

    async def read(self, number: int) -> bytes:
        """Piece `number`, the next one. Raises StopAsyncIteration at the end."""
        pieces = self._pieces
        if pieces is not None and number < len(pieces):
            return pieces[number]
        piece = await self._source.__anext__()
        self._size += len(piece)
        if self._size > self._limit:
            self._pieces = None
        elif self._pieces is not None:
            self._pieces.append(piece)
        return piece

    async def close(self) -> None:
        """Nobody will read on."""
        self._pieces = None
        await self._source.aclose()


class _Reading:
    """One reading of the body."""

    __slots__ = ("_number", "_replay")

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._number = 0

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._replay.read(self._number)
        self._number += 1
        return piece

    async def aclose(self) -> None:
        await self._replay.close()
