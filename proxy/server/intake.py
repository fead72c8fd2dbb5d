"""A request's body on its way in: where it ends, how large it may get, how it breaks off.

Bytes in, pieces into an `Inflow` for whoever handles the request. Knows no transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.errors import GatewayError
from proxy.http1.chunked import ChunkedDecoder, ChunkedError
from proxy.http1.framing import Framing
from proxy.wire.flow import Inflow


class Intake:
    """The body of the request being answered.

    inflow: what the handler reads. limit: most bytes of data. After `break_off` everything
    that still arrives is thrown away.
    """

    __slots__ = ("_decoder", "_limit", "_remaining", "broken", "inflow")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        gate: Callable[[bool], None],
        framing: Framing,
        limit: int,
    ) -> None:
        self.inflow = Inflow(loop, gate)
        self._limit = limit
        self._remaining = framing if isinstance(framing, int) else -1
        self._decoder = None if isinstance(framing, int) else ChunkedDecoder()
        self.broken = False

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; None while the body goes on, else what follows it."""
        if self.broken:
            return None
        inflow = self.inflow
        if self._decoder is not None:
            try:
                pieces, rest = self._decoder.feed(data)
            except ChunkedError as error:
                detail = f"The chunked body is malformed: {error}."
                self.break_off(GatewayError("invalid_framing", detail))
                return None
            if inflow.received + sum(map(len, pieces)) > self._limit:
                self.break_off(GatewayError("body_too_large"))
                return None
            for piece in pieces:
                inflow.feed(piece)
            if not self._decoder.finished:
                return None
        elif len(data) < self._remaining:
            self._remaining -= len(data)
            inflow.feed(data)
            return None
        else:
            inflow.feed(data[: self._remaining])
            rest = data[self._remaining :]
        inflow.finish()
        return rest

    def break_off(self, error: GatewayError) -> None:
        """The rest can't be read or isn't wanted, so nothing after it can be either."""
        error.close = True
        self.broken = True
        self.inflow.fail(error)
