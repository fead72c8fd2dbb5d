"""How a response leaves: its head, its framing, its pieces (RFC 9112, 6).

What the client can understand decides: HTTP/1.0 knows no chunks and closes by default. A
response whose length is unknown is chunked, or ended by closing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from proxy.contract import BodyStream, Request, Response
from proxy.errors import Aborted, GatewayError
from proxy.http1.chunked import LAST_CHUNK, encode_chunk
from proxy.http1.forwarding import VIA_LINE, extend_via
from proxy.http1.headers import Headers
from proxy.http1.serialize import response_head
from proxy.wire.flow import Outflow
from proxy.wire.reset import reset

_NOTHING_MORE: Final = b"Content-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(slots=True)
class Reply:
    """A framed response.

    head: all bytes up to the body. body: one follows. chunked: in chunks. keep_alive: the
    client may send another request after it.
    """

    head: bytes
    body: bool
    chunked: bool
    keep_alive: bool


class DateLine:
    """The Date field, rendered once a second."""

    __slots__ = ("_line", "_second", "_wall")

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._second = -1
        self._line = b""

    def __call__(self) -> bytes:
        """The finished field line for now."""
        second = int(self._wall())
        if second != self._second:
            self._second = second
            self._line = b"Date: %b\r\n" % formatdate(second, usegmt=True).encode("ascii")
        return self._line


def frame_response(request: Request, response: Response, keep_alive: bool, date: DateLine) -> Reply:
    """Decide the framing of a response and render its head."""
    status = response.status
    headers = response.headers
    lines = headers.lines()
    tail = b""
    body = True
    chunked = False
    if status == 204 or status < 200:
        body = False
    elif request.method == "HEAD" or status == 304:
        body = False
        # Zero is what a 304 made here says by default, and a claim about the representation.
        if response.length is not None and (response.length or status != 304):
            tail = b"Content-Length: %d\r\n" % response.length
    elif isinstance(response.body, bytes):
        # A policy that replaced the body may have left the old length behind.
        tail = b"Content-Length: %d\r\n" % len(response.body)
    elif response.length is not None:
        tail = b"Content-Length: %d\r\n" % response.length
    elif request.version == "1.1":
        chunked = True
        tail = b"Transfer-Encoding: chunked\r\n"
    else:
        keep_alive = False
    if "date" not in headers:
        tail += date()
    if "via" in headers:
        lines, via = extend_via(headers)
        tail += via
    else:
        tail += VIA_LINE
    if status == 101:
        tail += b"Connection: Upgrade\r\n\r\n"
    elif not keep_alive:
        tail += b"Connection: close\r\n\r\n"
    elif request.version == "1.0":
        tail += b"Connection: keep-alive\r\n\r\n"
    else:
        tail += b"\r\n"
    return Reply(response_head(status, lines, tail), body, chunked, keep_alive)


class Sender:
    """Writes responses to one client, no faster than it reads.

    sent: bytes of the response being sent. begun: some of them have gone.
    """

    __slots__ = ("_version", "begun", "outflow", "sent", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
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
            self.transport.write(response_head(status, headers.lines(), b"\r\n"))

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
        lines = []
        if request.id:
            lines.append(b"X-Request-ID: " + request.id.encode("ascii"))
        if trace.trace_id:
            told = f"traceresponse: 00-{trace.trace_id}-{trace.span_id}-{trace.flags:02x}"
            lines.append(told.encode("ascii"))
        self.write(response_head(error.status, lines, _NOTHING_MORE))
        return error.status

    def write(self, data: bytes) -> None:
        """Write bytes of the response. Raises ConnectionResetError when nobody takes them."""
        if self.transport is None:
            raise ConnectionResetError("the client is gone")
        self.begun = True
        self.sent += len(data)
        self.transport.write(data)

    async def stream(self, body: BodyStream, length: int | None, reply: Reply) -> None:
        """Write a response whose body is still coming. length: of the body, None if unknown.

        Raises ConnectionResetError when the client is gone, GatewayError when the body
        fails to come, and Aborted when it is not as long as was said.
        """
        self.write(reply.head)
        if self.outflow.full:
            await self.outflow.drain()
        if not reply.body:
            return
        left = length
        async for piece in body:
            if not piece:
                # As a chunk it would be the last one.
                continue
            if left is not None:
                left -= len(piece)
                if left < 0:
                    raise Aborted("internal_error", cause="body longer than its length")
            self.write(encode_chunk(piece) if reply.chunked else piece)
            if self.outflow.full:
                await self.outflow.drain()
        if left:
            raise Aborted("internal_error", cause="body shorter than its length")
        if reply.chunked:
            self.write(LAST_CHUNK)
