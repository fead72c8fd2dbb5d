"""A message's body: bytes that are here, or a stream of them. Pure but for waiting.

Policies import these from `proxy.contract`.
"""

from __future__ import annotations

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
