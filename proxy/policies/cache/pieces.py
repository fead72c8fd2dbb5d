"""A stored body on its way to a client."""

from __future__ import annotations

from proxy.policies.cache.entry import Pieces


class PiecesBody:
    """A body that is here in pieces, sent no faster than the client reads."""

    __slots__ = ("_pieces", "_place")

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._place = 0

    def __aiter__(self) -> PiecesBody:
        return self

    async def __anext__(self) -> bytes:
        """The next piece."""
        if self._place == len(self._pieces):
            raise StopAsyncIteration
        self._place += 1
        return self._pieces[self._place - 1]

    async def aclose(self) -> None:
        """Nothing is held."""
