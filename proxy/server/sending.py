"""How a response leaves that has to be waited for, or whose client has.

Coroutines, which are apart from `exchange` and `reply` since those are compiled, and coroutines are
left to the interpreter (see pyproject.toml).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.asking import FAILURES, Given
from proxy.contract import BodyStream, Response
from proxy.current import enter
from proxy.errors import Aborted
from proxy.http1.chunked import LAST_CHUNK, encode_chunk
from proxy.wire.flow import HIGH_WATER, Inflow
from proxy.wire.splice import LEAST, is_plain

if TYPE_CHECKING:
    from proxy.server.exchange import Exchange
    from proxy.server.reply import Sender


async def drain(exchange: Exchange, response: Response) -> None:
    """Wait until the client has taken a response that was written, and end the exchange."""
    client = exchange.client
    aborted = ""
    exchange.request.timings.responded = exchange.listener.clock()
    try:
        await client.sender.outflow.drain()
    except (asyncio.CancelledError, ConnectionResetError):
        aborted = client.broken_by
        client.abort()
    exchange.end(response.status, response.error, aborted)


async def send(exchange: Exchange, given: Given) -> None:
    """Wait for a response, send it as it comes, and end the exchange. Nothing escapes."""
    client = exchange.client
    sender = client.sender
    timings = exchange.request.timings
    enter(exchange.request)
    response: Response | None = None
    status, error, aborted = 0, "", ""
    try:
        try:
            response = given if isinstance(given, Response) else await given
            status, error = response.status, response.error
            if response.tunnel is not None:
                client.join(exchange, response)
                # Now all of it belongs to the tunnel.
                response = None
                exchange.let_go()
                timings.responded = exchange.listener.clock()
                return
            framing = exchange.write_head(response)
            timings.responded = exchange.listener.clock()
            if framing and not isinstance(response.body, bytes):
                await stream(sender, response.body, response.length, framing == "chunked")
            elif sender.outflow.full:
                await sender.outflow.drain()
        finally:
            if response is not None and not isinstance(response.body, bytes):
                await response.body.aclose()
    except FAILURES as failure:
        told, code, aborted = exchange.broken(failure)
        status, error = told or status, code or error
    exchange.end(status, error, aborted)


async def stream(sender: Sender, body: BodyStream, length: int | None, chunked: bool) -> None:
    """Write a body that is still coming. length: of it, None if unknown.

    Raises ConnectionResetError when the client is gone, GatewayError when the body
    fails to come, and Aborted when it is not as long as was said.
    """
    if sender.outflow.full:
        await sender.outflow.drain()
    left = length
    if left is not None and left >= LEAST and isinstance(body, Inflow):
        left -= await _carry(sender, body, left)
    async for piece in body:
        if not piece:
            # As a chunk it would be the last one.
            continue
        if left is not None:
            left -= len(piece)
            if left < 0:
                raise Aborted("internal_error", cause="body longer than its length")
        sender.write(encode_chunk(piece) if chunked else piece)
        if sender.outflow.full:
            await sender.outflow.drain()
    if left:
        raise Aborted("internal_error", cause="body shorter than its length")
    if chunked:
        sender.write(LAST_CHUNK)


async def _carry(sender: Sender, body: Inflow, size: int) -> int:
    """Let the kernel carry what is to come of a body, if it can: bytes that have gone.

    Raises ConnectionResetError when the client is gone.
    """
    transport, source = sender.transport, body.source
    if transport is None or source is None or not is_plain(transport):
        return 0
    before = sender.sent
    # Nothing may wait in the transport that belongs before what goes past it.
    transport.set_write_buffer_limits(high=0)
    try:
        here = body.hold()
        if here:
            sender.write(here)
        # What is written in a turn of the loop leaves at its end.
        await asyncio.sleep(0)
        await sender.outflow.drain()
        passage = sender.pipes.open(sender.loop, source, transport, size - len(here))
        if passage is not None:
            rest = b""
            try:
                await body.wait(passage.done)
            finally:
                rest = passage.end()
                sender.sent += passage.gone
            if rest:
                sender.write(rest)
        body.go_on()
    finally:
        if not transport.is_closing():
            transport.set_write_buffer_limits(high=HIGH_WATER)
    return sender.sent - before
