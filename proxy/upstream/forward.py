"""The innermost handler: asks one endpoint and gives its response.

May live here: what is sent, and that a request is sent again when a kept-alive connection
turns out dead. Must not live here: how bytes travel (`connection`), how connections are kept
(`pool`), which endpoint is asked (`cluster`), whether to try another (the policy `retry`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from proxy.contract import BodyStream, Request, Response
from proxy.errors import GatewayError
from proxy.http1.chunked import LAST_CHUNK, encode_chunk
from proxy.http1.forwarding import VIA_LINE, extend_via
from proxy.http1.headers import encode
from proxy.http1.serialize import request_head
from proxy.upstream.connection import ConnectionClosed, UpstreamConnection
from proxy.upstream.endpoint import Endpoint
from proxy.upstream.pool import Pool

# RFC 9110, 9.2.2.
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
# Methods whose requests usually have a body say so even when it is empty (RFC 9110, 8.6).
_BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
_UPGRADE_LINES: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Forwarder:
    """Forwards to one endpoint. An instance is a handler.

    host: `preserve`, `endpoint` or a literal Host value. expect: seconds to wait for the
    upstream's word on `Expect: 100-continue`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        pool: Pool,
        host: str,
        expect: float,
        clock: Callable[[], float],
        spawn: Spawn,
    ) -> None:
        self._endpoint = endpoint
        self._pool = pool
        self._host = host
        self._expect = expect
        self._clock = clock
        self._spawn = spawn

    async def __call__(self, request: Request) -> Response:
        """Ask the endpoint. Raises GatewayError when it can't be reached or fails."""
        timings = request.timings
        timings.forwarded = self._clock()
        body = request.body
        stream = None if isinstance(body, bytes) else body
        repeatable = stream is None and request.method in IDEMPOTENT
        pool = self._pool
        request.endpoint = self._endpoint.text
        fresh = False
        while True:
            connection = None if fresh else pool.take(not repeatable)
            if connection is None:
                connection = await pool.get(not repeatable, fresh)
            timings.connected = self._clock()
            used = connection.used
            pump = future = None
            try:
                future = connection.ask(
                    request.method,
                    self._request(request),
                    stream is None,
                    bool(request.upgrade),
                    request.exchange.interim,
                )
                if stream is not None:
                    pump = self._spawn(self._pump(request, stream, connection, future))
                response = await future
            except ConnectionClosed:
                if pump is not None:
                    pump.cancel()
                # A kept-alive connection may die just as it is used; ask once more, on a
                # new one, if asking twice is harmless (RFC 9112, 9.3.1).
                if not (repeatable and used and not fresh):
                    raise
                fresh = True
                pool.count_retry("stale_connection")
                continue
            except BaseException:
                if pump is not None:
                    pump.cancel()
                # By now another request may be using it.
                connection.abort("cancelled", future)
                raise
            timings.first_byte = self._clock()
            return response

    async def _pump(
        self,
        request: Request,
        body: BodyStream,
        connection: UpstreamConnection,
        future: asyncio.Future[Response],
    ) -> None:
        """Send the body as it comes, for as long as the upstream wants it."""
        request.exchange.defer_continue(self._expect)
        chunked = request.length is None
        try:
            async for piece in body:
                if not connection.answering:
                    return
                if not piece:
                    # An empty chunk would end the body.
                    continue
                connection.send(encode_chunk(piece) if chunked else piece)
                if connection.outflow.full:
                    await connection.outflow.drain()
        except GatewayError as error:
            # The client failed to send it all, and half a body must not look like a whole.
            if not future.done():
                future.set_exception(error)
            connection.abort("request_failed", future)
            return
        except ConnectionResetError:
            return
        if connection.answering:
            if chunked:
                connection.send(LAST_CHUNK)
            connection.sent_all()

    def _request(self, request: Request) -> bytes:
        """The bytes to send at once: the head, and the body if all of it is here."""
        host = request.authority if self._host == "preserve" else self._host
        if host == "endpoint" or not host:
            host = self._endpoint.authority
        line = b"%b %b HTTP/1.1\r\nHost: %b" % (
            request.method.encode("ascii"),
            request.target,
            encode(host),
        )
        lines, via = request.headers.lines(), VIA_LINE
        if "via" in request.headers:
            lines, via = extend_via(request.headers)
        tail = request.forwarded + via
        if request.upgrade:
            tail += _UPGRADE_LINES
            return request_head(line, lines, tail)
        if request.length is None:
            tail += b"Transfer-Encoding: chunked\r\n"
        elif request.length or request.method in _BODY_METHODS:
            tail += b"Content-Length: %d\r\n" % request.length
        body = request.body
        if isinstance(body, bytes):
            tail += b"\r\n" + body
        elif request.exchange.expects_continue:
            tail += b"Expect: 100-continue\r\n\r\n"
        else:
            tail += b"\r\n"
        return request_head(line, lines, tail)
