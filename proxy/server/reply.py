"""How a response leaves, piece by piece, no faster than its client reads.

Must not live here: what frames it (see `frame`).
"""

from __future__ import annotations

import asyncio
from typing import Final

from proxy.contract import BodyStream, Request
from proxy.errors import Aborted, GatewayError
from proxy.http1.chunked import LAST_CHUNK, encode_chunk
from proxy.http1.headers import Headers
from proxy.http1.serialize import response_head
from proxy.wire.flow import HIGH_WATER, Inflow, Outflow
from proxy.wire.reset import reset
from proxy.wire.splice import LEAST, Pipes, is_plain

_NOTHING_MORE: Final = [b"Content-Length: 0", b"Connection: close"]


class Sender:
    """Writes responses to one client, no faster than it reads.

    sent: bytes of the response being sent. begun: some of them have gone.
    """

    __slots__ = ("_loop", "_pipes", "_version", "begun", "outflow", "sent", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, pipes: Pipes) -> None:
        self._loop = loop
        self._pipes = pipes
        self.outflow = Outflow(loop)
        self.transport: asyncio.Transport | None = None
        self.sent = 0
        self.begun = False
        self._version = ""

    def reset(self, version: str) -> None:
        """A new response is to come, for a request of this version."""
        self.sent = 0
        self.begun = False
        self._version = version

    def interim(self, status: int, headers: Headers) -> None:
        """Write a 1xx before the response, if there is a client that can read it."""
        if self.transport is not None and not self.begun and self._version == "1.1":
            self.transport.write(response_head(status, headers.lines.values()))

    def break_off(self, error: GatewayError, request: Request) -> int:
        """End a response that failed: once a head has gone, closing is the only honest error.

        Before that a status without a body can be sent, on routes where nothing answers
        errors. The status that was sent, 0 for none.
        """
        if self.transport is None:
            return 0
        if self.begun:
            reset(self.transport)
            return 0
        trace = request.trace
        lines = list(_NOTHING_MORE)
        if request.id:
            lines.append(b"X-Request-ID: " + request.id.encode("ascii"))
        if trace.trace_id:
            told = f"traceresponse: 00-{trace.trace_id}-{trace.span_id}-{trace.flags:02x}"
            lines.append(told.encode("ascii"))
        self.write(response_head(error.status, lines))
        return error.status

    def write(self, data: bytes, body: bytes = b"") -> None:
        """Write bytes of the response, and behind them a body that is here. Raises
        ConnectionResetError when nobody takes them."""
        if self.transport is None:
            raise ConnectionResetError("the client is gone")
        self.begun = True
        self.sent += len(data)
        if body:
            self.sent += len(body)
            self.transport.writelines((data, body))
        else:
            self.transport.write(data)

    async def stream(self, body: BodyStream, length: int | None, chunked: bool) -> None:
        """Write a body that is still coming. length: of it, None if unknown.

        Raises ConnectionResetError when the client is gone, GatewayError when the body
        fails to come, and Aborted when it is not as long as was said.
        """
        if self.outflow.full:
            await self.outflow.drain()
        left = length
        if left is not None and left >= LEAST and isinstance(body, Inflow):
            left -= await self._carry(body, left)
        async for piece in body:
            if not piece:
                # As a chunk it would be the last one.
                continue
            if left is not None:
                left -= len(piece)
                if left < 0:
                    raise Aborted("internal_error", cause="body longer than its length")
            self.write(encode_chunk(piece) if chunked else piece)
            if self.outflow.full:
                await self.outflow.drain()
        if left:
            raise Aborted("internal_error", cause="body shorter than its length")
        if chunked:
            self.write(LAST_CHUNK)

    async def _carry(self, body: Inflow, size: int) -> int:
        """Let the kernel carry what is to come of a body, if it can: bytes that have gone.

        Raises ConnectionResetError when the client is gone.
        """
        transport, source = self.transport, body.source
        if transport is None or source is None or not is_plain(transport):
            return 0
        before = self.sent
        # Nothing may wait in the transport that belongs before what goes past it.
        transport.set_write_buffer_limits(high=0)
        try:
            here = body.hold()
            if here:
                self.write(here)
            # What is written in a turn of the loop leaves at its end.
            await asyncio.sleep(0)
            await self.outflow.drain()
            passage = self._pipes.open(self._loop, source, transport, size - len(here))
            if passage is not None:
                rest = b""
                try:
                    await body.wait(passage.done)
                finally:
                    rest = passage.end()
                    self.sent += passage.gone
                if rest:
                    self.write(rest)
            body.go_on()
        finally:
            if not transport.is_closing():
                transport.set_write_buffer_limits(high=HIGH_WATER)
        return self.sent - before
