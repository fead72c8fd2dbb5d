"""The service behind every proxy: answers at once, with the same bytes each time.

`python -m tests.benchmarks.origin PORT MAX_AGE`. It reads just enough of HTTP to find the end
of a head, since what it costs is taken from the load's core. `GET /inspect` answers with the
head that it received, which shows what a proxy sent on. MAX_AGE: seconds that caches may keep
an answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final, cast

import uvloop

BODY: Final = b'{"id": 7, "name": "kettle", "price": 39.9, "in_stock": true}'
HEAD_END: Final = b"\r\n\r\n"


def answer(body: bytes, max_age: int) -> bytes:
    """A response as services send them, with one field that proxies are to strip."""
    return (
        b"HTTP/1.1 200 OK\r\n"
        b"Date: Mon, 23 Nov 2026 12:00:00 GMT\r\n"
        b"Server: origin\r\n"
        b"X-Powered-By: asyncio\r\n"
        b"Content-Type: application/json\r\n"
        b"Cache-Control: max-age=%d\r\n"
        b'ETag: "5f3a"\r\n'
        b"Content-Length: %d\r\n\r\n" % (max_age, len(body))
    ) + body


class Origin(asyncio.Protocol):
    """One connection: an answer for each head that is complete."""

    def __init__(self, max_age: int) -> None:
        self._max_age = max_age
        self._answer = answer(BODY, max_age)
        self._begun = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every head in `data`; keep what is begun."""
        data = self._begun + data
        if data.startswith(b"GET /inspect"):
            lines = data.decode("latin-1").split("\r\n")
            self._transport.write(answer(json.dumps(lines).encode(), self._max_age))
            return
        whole = data.count(HEAD_END)
        self._begun = data[data.rfind(HEAD_END) + 4 :] if whole else data
        self._transport.write(self._answer * whole)


async def serve(port: int, max_age: int) -> None:
    """Listen on loopback until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Origin(max_age), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(*map(int, sys.argv[1:])))
