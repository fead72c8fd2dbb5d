"""Bodies that are looked at, or put together, as they are read by the one who reads them."""

from __future__ import annotations

from collections.abc import Callable

from proxy.contract import Body, BodyStream
from proxy.errors import GatewayError

Finished = Callable[[list[bytes], bool], None]
"""Told of what came of a body, and whether that was all."""


class Collected:
    """A body that is handed on, and kept meanwhile as far as it is worth it.

    limit: most bytes that are kept. reserve: asks for room for so many bytes; negative when
    they are let go. finished: told at the end, unless too much came or the reader left.
    over: called once in any case, when nothing more is going to be kept.
    """

    __slots__ = ("_body", "_finished", "_limit", "_over", "_pieces", "_reserve", "_reserved")

    def __init__(
        self,
        body: BodyStream,
        limit: int,
        reserve: Callable[[int], bool],
        finished: Finished,
        over: Callable[[], None],
    ) -> None:
        self._body = body
        self._limit = limit
        self._reserve = reserve
        self._finished: Finished | None = finished
        self._over = over
        self._pieces: list[bytes] = []
        self._reserved = 0

    def __aiter__(self) -> Collected:
        return self

    async def __anext__(self) -> bytes:
        """The next piece. Raises what the body raises."""
        try:
            piece = await self._body.__anext__()
        except StopAsyncIteration:
            self._end(True)
            raise
        except GatewayError:
            self._end(False)
            raise
        if self._finished is not None:
            if self._reserved + len(piece) > self._limit or not self._reserve(len(piece)):
                self._forget()
            else:
                self._reserved += len(piece)
                self._pieces.append(piece)
        return piece

    async def aclose(self) -> None:
        """Nobody will read the rest, and what came of it is not kept."""
        self._forget()
        await self._body.aclose()

    def _end(self, complete: bool) -> None:
        if self._finished is not None:
            self._finished(self._pieces, complete)
            self._forget()

    def _forget(self) -> None:
        if self._finished is not None:
            self._finished = None
            self._over()
        self._pieces = []
        if self._reserved:
            self._reserve(-self._reserved)
            self._reserved = 0


class Continued:
    """A body that begins with what is here already."""

    __slots__ = ("_body", "_first")

    def __init__(self, first: list[bytes], body: BodyStream) -> None:
        self._first = list(reversed(first))
        self._body = body

    def __aiter__(self) -> Continued:
        return self

    async def __anext__(self) -> bytes:
        """The next piece. Raises what the body raises."""
        return self._first.pop() if self._first else await self._body.__anext__()

    async def aclose(self) -> None:
        """Nobody will read the rest."""
        self._first = []
        await self._body.aclose()


def continued(first: list[bytes], rest: Body) -> Body:
    """A body of pieces that are here and what follows them."""
    return b"".join([*first, rest]) if isinstance(rest, bytes) else Continued(first, rest)
