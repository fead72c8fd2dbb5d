"""The heads of one response after the other, out of bytes as they come.

May live here: where a head ends, and how many and how large they may be. Must not live
here: what any of them says (`http1.message`), and what becomes of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from proxy.errors import GatewayError
from proxy.http1.headers import Headers
from proxy.http1.message import ResponseHead, read_response_head
from proxy.http1.repeat import keep_response, repeated_response
from proxy.wire.parser import END_OF_HEAD, ResponseParser

MAX_HEAD: Final = 256 * 1024
"""Bytes of a response head; more is `upstream_invalid`."""
MAX_INTERIM: Final = 16
"""Interim responses (1xx) to one request; more is `upstream_invalid`."""

Interim = Callable[[int, Headers], None]


class Heads:
    """Collects the heads of one connection.

    data: bytes that were received and not read. interims: interim responses so far.
    """

    __slots__ = ("_last", "_parser", "_searched", "data", "interims")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parser = ResponseParser(loop)
        # Bytes of `data` that hold no end of a head.
        self._searched = 0
        # The hash of the last head.
        self._last = 0
        self.data = b""
        self.interims = 0

    def begin(self) -> None:
        """A request is sent: whatever comes now answers it."""
        self.data = b""
        self.interims = self._searched = 0

    def read(self, method: str, interim: Interim) -> tuple[ResponseHead, bytes] | None:
        """The head of the response and what follows it, None while it isn't complete.

        method: of the request. interim: told of each interim response. Raises GatewayError
        `upstream_invalid`.
        """
        data, self.data = self.data, b""
        searched, self._searched = self._searched, 0
        while True:
            end = data.find(END_OF_HEAD, max(0, searched - 3))
            if (len(data) if end < 0 else end) > MAX_HEAD:
                raise GatewayError("upstream_invalid", cause="head too large")
            if end < 0:
                self.data, self._searched = data, len(data)
                return None
            end += 4
            text = data[:end]
            data = data[end:]
            if method != "HEAD":
                head = repeated_response(text)
                if head is not None:
                    return head, data
            status, version, lines = self._parser.parts(text)
            head = read_response_head(status, version, lines, method)
            if status >= 200 or status == 101:
                # Of heads that are never the same none is worth keeping.
                mark = hash(text)
                if mark == self._last and method != "HEAD" and status >= 200:
                    keep_response(text, lines, head)
                self._last = mark
                return head, data
            self.interims += 1
            if self.interims > MAX_INTERIM:
                raise GatewayError("upstream_invalid", cause="interim responses")
            interim(status, head.headers)
            searched = 0
