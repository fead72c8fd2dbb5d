"""One request head after another, out of bytes as they come.

Finds where a head ends and hands exactly its bytes to the parser, incomplete ones early, so
that garbage is refused at once rather than at a timeout. Counts every byte against the
limit before anything else is done with it.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from proxy.errors import GatewayError
from proxy.http1.diagnosis import diagnose
from proxy.http1.message import HeadRules, RequestHead, read_request_head
from proxy.wire.parser import END_OF_HEAD, RequestParser

# Empty lines before a request, which old clients send after a POST (RFC 9112, 2.2).
_MAX_EMPTY_LINES: Final = 4


class Arrived(NamedTuple):
    """A complete head.

    size: its bytes on the wire. persistent: what follows it can be read as another request.
    """

    method: str
    head: RequestHead
    size: int
    persistent: bool


class Arrival:
    """Collects heads of one connection.

    partial: bytes of a head that is not complete yet, kept after an error too.
    """

    __slots__ = ("_empty_lines", "_parser", "partial")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parser = RequestParser(loop)
        self._empty_lines = 0
        self.partial = b""

    def feed(self, data: bytes, limit: int, rules: HeadRules) -> tuple[Arrived | None, bytes]:
        """Take bytes: a head once it is complete, and what follows it.

        limit: most bytes of a head. Raises GatewayError, after which nothing that follows
        can be read.
        """
        began = self.partial
        while not began and data[:2] == b"\r\n" and self._empty_lines < _MAX_EMPTY_LINES:
            self._empty_lines += 1
            data = data[2:]
        if not data:
            return None, b""
        joined = began + data if began else data
        end = joined.find(END_OF_HEAD, max(0, len(began) - 3)) + 4
        complete = end > 3
        self.partial = joined if not complete else joined[:end]
        if len(self.partial) > limit:
            code = "head_too_large" if b"\r\n" in joined[:limit] else "target_too_long"
            raise GatewayError(code, close=True)
        try:
            parsed = self._parser.feed(self.partial[len(began) :], complete)
        except GatewayError as error:
            raise diagnose(self.partial, error) from None
        if parsed is None:
            return None, b""
        head = read_request_head(parsed.method, parsed.target, parsed.version, parsed.fields, rules)
        self.partial = b""
        self._empty_lines = 0
        # An upgrade that is not passed on leaves open which protocol the client goes on in.
        persistent = head.keep_alive and not (parsed.upgrade and not head.upgrade)
        return Arrived(parsed.method, head, end, persistent), joined[end:]
