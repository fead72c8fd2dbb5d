"""The service behind every proxy: answers at once, from bytes that were made before.

`python -m tests.benchmarks.origin PORT MAX_AGE`. It reads just enough of HTTP to find the end
of a request, since what it costs is taken from the load's core. MAX_AGE: seconds that caches
may keep an answer.

GET /products/N answers with a small body, and with another ETag for each N of sixteen digits;
GET /download/SIZE with so many bytes; a POST, once its body was read to its end, with the
body's length; GET /inspect with the head that came, which shows what a proxy sent on.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Final, cast

import uvloop

from tests.benchmarks.requests import KIB, MIB

BODY: Final = b'{"id": 7, "name": "kettle", "price": 39.9, "in_stock": true}'
HEAD_END: Final = b"\r\n\r\n"
DOWNLOADS: Final = (100 * KIB, 10 * MIB)

_TAG: Final = b"5f3a5f3a5f3a5f3a"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE).search
_NUMBER: Final = re.compile(rb"GET /products/(\d{16})\?").match


def answer(body: bytes, max_age: int) -> bytes:
    """A response as services send them, with one field that proxies are to strip."""
    return (
        b"HTTP/1.1 200 OK\r\n"
        b"Date: Mon, 23 Nov 2026 12:00:00 GMT\r\n"
        b"Server: origin\r\n"
        b"X-Powered-By: asyncio\r\n"
        b"Content-Type: application/json\r\n"
        b"Cache-Control: max-age=%d\r\n"
        b'ETag: "%b"\r\n'
        b"Content-Length: %d\r\n\r\n" % (max_age, _TAG, len(body))
    ) + body


class Answers:
    """What there is to answer with, by what was asked."""

    def __init__(self, max_age: int) -> None:
        self._max_age = max_age
        self._small = answer(BODY, max_age)
        self._parts = self._small.split(_TAG)
        self._downloads = {
            b"/download/%d" % size: answer(b"x" * size, max_age) for size in DOWNLOADS
        }

    def to(self, head: bytes, length: int) -> bytes:
        """The answer to a request with a body of so many bytes."""
        if head.startswith(b"GET /products/"):
            number = _NUMBER(head)
            return self._small if number is None else number[1].join(self._parts)
        target = head.split(b" ", 2)[1]
        if target in self._downloads:
            return self._downloads[target]
        if target == b"/inspect":
            lines = head.decode("latin-1").split("\r\n")
            return answer(json.dumps(lines).encode(), self._max_age)
        return answer(b'{"read": %d}' % length, self._max_age)


class Origin(asyncio.Protocol):
    """One connection: an answer for each request that is complete."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._begun = b""
        # The head whose body is being read, its length, and what is still to come of it.
        self._head = b""
        self._length = 0
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete in `data`; keep what is begun."""
        if self._begun:
            data, self._begun = self._begun + data, b""
        answers = []
        while data:
            if not self._head:
                end = data.find(HEAD_END)
                if end < 0:
                    self._begun = data
                    break
                self._head, data = data[:end], data[end + 4 :]
                length = None if self._head.startswith(b"GET ") else _LENGTH(self._head)
                self._length = self._missing = int(length[1]) if length else 0
            read = min(self._missing, len(data))
            self._missing -= read
            data = data[read:]
            if self._missing == 0:
                answers.append(self._answers.to(self._head, self._length))
                self._head = b""
        if answers:
            self._transport.write(answers[0] if len(answers) == 1 else b"".join(answers))


async def serve(port: int, max_age: int) -> None:
    """Listen on loopback until the process is ended."""
    loop = asyncio.get_running_loop()
    answers = Answers(max_age)
    server = await loop.create_server(lambda: Origin(answers), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(*map(int, sys.argv[1:])))
