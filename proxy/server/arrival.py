"""One request head after another, out of bytes as they come.

Finds where a head ends and hands exactly its bytes to the parser, those of an incomplete
one line by line: so garbage is refused at once rather than at a timeout, and for the same
reason however it was cut into pieces. Counts every byte against the limit before anything
else is done with it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from proxy.errors import GatewayError
from proxy.http1.diagnosis import diagnose
from proxy.http1.line import lines_of
from proxy.http1.message import HeadRules, RequestHead, read_request_head
from proxy.http1.plain import plain_request
from proxy.http1.repeat import Repeat, repeat_of
from proxy.wire.parser import END_OF_HEAD, RequestParser

# Empty lines before a request, which old clients send after a POST (RFC 9112, 2.2).
_MAX_EMPTY_LINES: Final = 4
_TOKEN: Final = frozenset(
    b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
# Of a client whose fields changed so often in a row they aren't kept any more.
_CHANGES_MAX: Final = 16
_A: Final = ord("A")
_Z: Final = ord("Z")


class Arrival:
    """Collects heads of one connection.

    The `keep_alive` of a head says whether what follows it can be read as another request.

    partial: bytes of a head that is not complete yet, kept after an error too.
    """

    __slots__ = ("_changes", "_empty_lines", "_fed", "_parser", "_repeat", "partial")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parser = RequestParser(loop)
        self._empty_lines = 0
        # Bytes of `partial` that the parser has: whole lines.
        self._fed = 0
        self.partial = b""
        self._repeat: Repeat | None = None
        self._changes = 0

    def feed(self, data: bytes, limit: int, rules: HeadRules) -> tuple[RequestHead | None, bytes]:
        """Take bytes, at least one: a head once it is complete, and what follows it.

        limit: most bytes of a head. Raises GatewayError, after which nothing that follows
        can be read.
        """
        if not self.partial:
            end = data.find(END_OF_HEAD)
            if 0 < end <= limit - 4:
                repeat = self._repeat
                head = None if repeat is None else repeat.read(data, end, rules)
                if head is None:
                    head = self._read_plain(data, end, rules)
                else:
                    self._changes = 0
                if head is not None:
                    self._empty_lines = 0
                    return head, data[end + 4 :]
        joined = self.partial + data if self.partial else data
        fed = self._fed
        if fed == 0 and not _A <= joined[0] <= _Z:
            joined = self.partial = self._begin(joined)
            if joined in (b"", b"\r"):
                return None, b""
        end = joined.find(END_OF_HEAD, fed - 2 if fed else 0) + 4
        complete = end > 3
        self.partial = joined[:end] if complete else joined
        if len(self.partial) > limit:
            code = "head_too_large" if b"\r\n" in joined[:limit] else "target_too_long"
            raise GatewayError(code, close=True)
        if not complete:
            end = joined.rfind(b"\n", fed) + 1
            if end == 0:
                return None, b""
        try:
            if fed == 0:
                # The parser takes the versions of other protocols for HTTP's, and any number
                # of blanks for one (RFC 9112, 3).
                line_end = joined.find(b"\r\n")
                blanks = joined.count(b" ", 0, line_end)
                if joined[line_end - 8 : line_end - 1] != b"HTTP/1." or blanks != 2:
                    raise GatewayError("bad_request", cause="request line", close=True)
            parsed = self._parser.feed(joined[fed:end], complete)
        except GatewayError as error:
            raise diagnose(joined[:end], error) from None
        if parsed is None:
            self._fed = end
            return None, b""
        head = read_request_head(
            parsed.method,
            parsed.path,
            parsed.version,
            lines_of(parsed.raw_headers, "invalid_header"),
            rules,
        )
        self.partial = b""
        self._fed = 0
        self._empty_lines = 0
        # An upgrade that is not passed on leaves open which protocol the client goes on in.
        if parsed.upgrade and not head.upgrade:
            head.keep_alive = False
        head.size = end
        return head, joined[end:]

    def _read_plain(self, data: bytes, end: int, rules: HeadRules) -> RequestHead | None:
        """The head that ends there; None for the parser to read it."""
        plain = plain_request(data[:end])
        if plain is None:
            return None
        try:
            head = read_request_head(*plain, rules)
        except GatewayError:
            self.partial = data[: end + 4]
            raise
        head.size = end + 4
        self._changes += 1
        self._repeat = repeat_of(data, end, head, rules) if self._changes < _CHANGES_MAX else None
        return head

    def _begin(self, data: bytes) -> bytes:
        """What is left of the first bytes without empty lines; refuse what begins no head."""
        while data[:2] == b"\r\n" and self._empty_lines < _MAX_EMPTY_LINES:
            self._empty_lines += 1
            data = data[2:]
        half_a_line = data == b"\r" and self._empty_lines < _MAX_EMPTY_LINES
        if data and not half_a_line and data[0] not in _TOKEN:
            self.partial = data
            raise diagnose(data, GatewayError("bad_request", cause="first byte", close=True))
        return data
