"""The innermost handler: asks one endpoint and gives its response.

May live here: what is sent, and that a request is sent again when a kept-alive connection
turns out dead. Must not live here: how bytes travel (`connection`), how connections are kept
(`pool`), which endpoint is asked (`cluster`), whether to try another (the policy `retry`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final

from proxy.asking import Asked, Awaited, PatientAsker, Pending
from proxy.contract import BodyStream, Request, Response
from proxy.errors import GatewayError
from proxy.http1.chunked import LAST_CHUNK, encode_chunk
from proxy.http1.forwarding import VIA_LINE, extended_via
from proxy.http1.headers import encode
from proxy.http1.method import IDEMPOTENT
from proxy.upstream.connection import ConnectionClosed, UpstreamConnection
from proxy.upstream.endpoint import Endpoint
from proxy.upstream.pool import Pool

# Methods whose requests usually have a body say so even when it is empty (RFC 9110, 8.6).
_BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
_UPGRADE_LINES: Final = (b"Connection: Upgrade", b"Upgrade: websocket")

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Forwarder:
    """Forwards to one endpoint. An instance is a handler.

    Most requests need no waiting but for the answer: `ask_now` asks for them without a task.

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
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._endpoint = endpoint
        self._pool = pool
        self._host = host
        self._expect = expect
        self._clock = clock
        self._spawn = spawn
        self._loop = loop

    async def __call__(self, request: Request) -> Response:
        """Ask the endpoint. Raises GatewayError when it can't be reached or fails."""
        if request.upgrade:
            with self._pool.handshake():
                return await self._ask(request, fresh=False)
        return await self._ask(request, fresh=False)

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        """Ask at once where that needs no waiting.

        The asker hears of the response. Raises ConnectionClosed when nothing was sent.
        """
        if request.upgrade or not isinstance(request.body, bytes):
            return self(request)
        # Before a connection is taken, which a failure of this would keep for ever.
        data = self._request(request)
        now = self._clock()
        connection = self._pool.take(request.method not in IDEMPOTENT, now)
        if connection is None:
            return self(request)
        request.endpoint = self._endpoint.text
        timings = request.timings
        timings.forwarded = timings.connected = now
        connection.ask(request.method, data, True, False, asker, now)
        return connection

    def ask_again(self, request: Request, error: GatewayError) -> Pending | None:
        """Ask once more after `ask_now`, if that is harmless and may help."""
        if not isinstance(error, ConnectionClosed) or request.method not in IDEMPOTENT:
            return None
        return self._repeat(request)

    async def _repeat(self, request: Request) -> Response:
        """Ask on a new connection, as the kept-alive one was dead."""
        self._pool.count_retry("stale_connection")
        return await self._ask(request, fresh=True)

    async def _ask(self, request: Request, *, fresh: bool) -> Response:
        timings = request.timings
        timings.forwarded = now = self._clock()
        body = request.body
        stream = None if isinstance(body, bytes) else body
        repeatable = stream is None and request.method in IDEMPOTENT
        pool = self._pool
        request.endpoint = self._endpoint.text
        data = self._request(request)
        while True:
            connection = None if fresh else pool.take(not repeatable, now)
            if connection is None:
                connection = await pool.get(not repeatable, fresh)
                now = self._clock()
            timings.connected = now
            used = connection.used
            asker = Awaited(self._loop, request.exchange)
            try:
                connection.ask(
                    request.method, data, stream is None, bool(request.upgrade), asker, now
                )
                if stream is not None:
                    pump = self._pump(request, stream, connection, asker)
                    connection.pump = self._spawn(pump)
                response = await asker.future
            except ConnectionClosed:
                # A kept-alive connection may die just as it is used; ask once more, on a
                # new one, if asking twice is harmless (RFC 9112, 9.3.1).
                if not (repeatable and used and not fresh):
                    raise
                fresh = True
                pool.count_retry("stale_connection")
                continue
            except BaseException:
                # By now another request may be using it.
                connection.abort("cancelled", asker)
                raise
            timings.first_byte = self._clock()
            if response.tunnel is not None or not isinstance(response.body, bytes):
                request.exchange.at_end(partial(connection.abort, "abandoned", asker))
            return response

    async def _pump(
        self,
        request: Request,
        body: BodyStream,
        connection: UpstreamConnection,
        asker: Awaited,
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
        except ConnectionResetError:
            return
        except Exception as error:
            # The client, or a policy, failed to send it all, and half a body must not look like a
            # whole.
            asker.failed(error)
            connection.abort("request_failed", asker)
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
        headers = request.headers
        lines: Iterable[bytes] = headers.lines.values()
        via = VIA_LINE
        if "via" in headers.lines:
            lines, via = extended_via(headers)
        start = b"%b %b HTTP/1.1\r\nHost: %b" % (
            request.method.encode("ascii"),
            request.target,
            encode(host),
        )
        parts = [start, *lines, request.forwarded + via]
        body = request.body
        whole = b""
        if request.upgrade:
            parts += _UPGRADE_LINES
        else:
            if request.length is None:
                parts.append(b"Transfer-Encoding: chunked")
            elif request.length or request.method in _BODY_METHODS:
                parts.append(b"Content-Length: %d" % request.length)
            if isinstance(body, bytes):
                whole = body
            elif request.exchange.expects_continue:
                parts.append(b"Expect: 100-continue")
        parts += (b"", whole)
        return b"\r\n".join(parts)
