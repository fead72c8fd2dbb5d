"""Large bodies in chunks, as instances hand them to each other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Final

from proxy.contract import Depot
from proxy.errors import GatewayError
from proxy.policies.cache.entry import Pieces
from proxy.policies.cache.record import Record, pack, unpack

CHUNK: Final = 256 * 1024
"""Bytes of a chunk; a body that isn't larger is kept beside its record."""

# What is compressed on the spot; more would hold up other requests.
_QUICK: Final = 16 * 1024


class Chunks:
    """A body that is fetched chunk by chunk, as it is read."""

    __slots__ = ("_depot", "_left", "_names", "_packed", "_url")

    def __init__(self, depot: Depot, record: Record) -> None:
        self._depot = depot
        self._url = record.url
        self._names = list(reversed(record.chunk_names))
        self._packed = record.packed
        self._left = record.size

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        """The next chunk. Raises GatewayError when it is there no more."""
        if not self._names:
            raise StopAsyncIteration
        [data] = await self._depot.find(self._url, [self._names.pop()])
        if data is not None and self._packed:
            data = unpack(data, CHUNK)
        if data is None or len(data) != min(CHUNK, self._left):
            raise GatewayError("upstream_closed", cause="a part is gone from the cache store")
        self._left -= len(data)
        return data

    async def aclose(self) -> None:
        """Nobody will read the rest."""
        self._names = []


async def packed_body(body: bytes, packed: bool) -> bytes:
    """A body as it is kept."""
    if not packed:
        return body
    if len(body) <= _QUICK:
        return pack(body)
    return await asyncio.get_running_loop().run_in_executor(None, partial(pack, body))


def whole_of(body: bytes | Pieces) -> bytes:
    """A body in one piece."""
    return body if isinstance(body, bytes) else b"".join(body)


def cut(body: bytes | Pieces) -> Iterator[bytes]:
    """A body in pieces of `CHUNK`, the last one shorter."""
    held = bytearray()
    for piece in (body,) if isinstance(body, bytes) else body:
        held += piece
        while len(held) >= CHUNK:
            yield bytes(held[:CHUNK])
            del held[:CHUNK]
    if held:
        yield bytes(held)
