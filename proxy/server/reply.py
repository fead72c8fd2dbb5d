"""How a response leaves, as far as nothing has to be waited for.

Must not live here: what frames it (see `frame`), or how a body leaves that is still coming (see
`sending`).
"""

from __future__ import annotations

import asyncio
from typing import Final

from proxy.contract import Request
from proxy.errors import GatewayError
from proxy.http1.headers import Headers
from proxy.http1.serialize import response_head
from proxy.wire.flow import Outflow
from proxy.wire.reset import reset
from proxy.wire.splice import Pipes

_NOTHING_MORE: Final = [b"Content-Length: 0", b"Connection: close"]


class Sender:
    """Writes responses to one client.

    pipes: through which the kernel may carry a body. outflow: whether the client takes more. sent:
    bytes of the response being sent. begun: some of them have gone.
    """

    __slots__ = ("_version", "begun", "loop", "outflow", "pipes", "sent", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, pipes: Pipes) -> None:
        self.loop = loop
        self.pipes = pipes
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
