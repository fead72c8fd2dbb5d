"""A response's body on its way in: where it ends (RFC 9112, 6.3).

Bytes in, pieces into an `Inflow` for whoever handles the response. Knows no transport.
"""

from __future__ import annotations

from proxy.http1.chunked import ChunkedDecoder
from proxy.http1.framing import CHUNKED, Framing
from proxy.wire.flow import Inflow


class Coming:
    """The body of the response being read. inflow: what its handler reads."""

    __slots__ = ("_decoder", "_left", "inflow")

    def __init__(self, inflow: Inflow, framing: Framing) -> None:
        self.inflow = inflow
        self._left = framing if isinstance(framing, int) else -1
        self._decoder = ChunkedDecoder(padded=True) if framing == CHUNKED else None

    @property
    def ends_by_closing(self) -> bool:
        """It goes on for as long as the connection does."""
        return self._decoder is None and self._left < 0

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; None while the body goes on, else what follows it. Raises ChunkedError."""
        inflow, rest = self.inflow, None
        if self._decoder is not None:
            pieces, after = self._decoder.feed(data)
            for piece in pieces:
                inflow.feed(piece)
            if self._decoder.finished:
                rest = after
        elif len(data) < self._left or self._left < 0:
            inflow.feed(data)
            self._left -= len(data) if self._left > 0 else 0
        else:
            inflow.feed(data[: self._left])
            rest = data[self._left :]
        return rest

    def skip(self, size: int) -> bool:
        """So many bytes of a body of known length have gone by; whether they were the last."""
        self._left -= size
        return not self._left
