"""The seam to aiohttp's C parsers: bytes of one head in, its parts out.

The parsers are undocumented and promise nothing, so this is the only module that touches
them, and tests/unit/wire/test_parser.py holds what we rely on. They are used for heads
only: each is fed the bytes of exactly one head, told that no body follows, and never sees
a body, a trailer or the next message. So none of their state can cross messages, their own
flow control never runs, and bodies are framed by `http1.framing` and `http1.chunked`.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast

from aiohttp.http import HttpRequestParser, HttpResponseParser

from proxy.errors import GatewayError
from proxy.http1.headers import Field
from proxy.http1.line import lines_of
from proxy.http1.plain import PlainResponse, plain_response

END_OF_HEAD: Final = b"\r\n\r\n"
# Our own limits are smaller and have their own codes; the parsers' must never answer first.
_NO_LIMIT: Final = 16 * 1024 * 1024
# Everything but line ends and control characters: what deleting leaves must be CRLF pairs.
_HARMLESS: Final = bytes(byte for byte in range(256) if byte == 9 or (byte > 31 and byte != 127))


class ParsedRequest(Protocol):
    """A request head: the parser's own message, since copying it costs 0.3 µs."""

    @property
    def method(self) -> str:
        """Upper case."""
        ...

    @property
    def path(self) -> str:
        """The raw target."""
        ...

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor."""
        ...

    @property
    def raw_headers(self) -> tuple[Field, ...]:
        """Wire-case names, values without outer blanks."""
        ...

    @property
    def upgrade(self) -> bool:
        """It asks for another protocol."""
        ...


class ParsedResponse(Protocol):
    """A response head: the parser's own message. Its reason phrase is not to be used."""

    @property
    def code(self) -> int:
        """The status."""
        ...

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor."""
        ...

    @property
    def raw_headers(self) -> tuple[Field, ...]:
        """Wire-case names, values without outer blanks."""
        ...


class _Unpaused:
    """What the parsers want of a protocol, though they never read a body here."""

    connected = True
    _reading_paused = False

    def pause_reading(self) -> None:
        return None

    def resume_reading(self, resume_parser: bool = True) -> None:
        return None


_PROTOCOL: Final = cast("asyncio.Protocol", _Unpaused())


class EngineError(RuntimeError):
    """The parsers that are installed can't be used safely."""


def require_c_parsers() -> None:
    """Raise EngineError unless the compiled parsers are the ones in use.

    The fallback in Python accepts requests that the compiled ones refuse, and is slower.
    """
    if HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise EngineError(
            "aiohttp's compiled HTTP parsers are missing, and its Python ones accept requests "
            "that must be refused. Unset AIOHTTP_NO_EXTENSIONS, or reinstall aiohttp from a wheel."
        )


class RequestParser:
    """Reads request heads, one at a time."""

    __slots__ = ("_loop", "_parser")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = self._make()

    def _make(self) -> HttpRequestParser:
        return HttpRequestParser(  # type: ignore[call-arg,unused-ignore]
            _PROTOCOL,  # type: ignore[arg-type,unused-ignore]
            self._loop,
            65536,
            max_line_size=_NO_LIMIT,
            max_headers=_NO_LIMIT,
            max_field_size=_NO_LIMIT,
            response_with_body=False,
            auto_decompress=False,
        )

    def feed(self, data: bytes, complete: bool) -> ParsedRequest | None:
        """Take the next bytes of a head; `complete` when they end it.

        Raises GatewayError `bad_request` when they can't be a head's, after which the
        parser is as new.
        """
        try:
            messages, _, _ = self._parser.feed_data(data)
        # A target such as `http://[::1]:80@/` raises IndexError, so no narrower class does.
        except Exception as error:
            self._parser = self._make()
            raise GatewayError("bad_request", cause=type(error).__name__, close=True) from None
        if len(messages) != (1 if complete else 0):
            self._parser = self._make()
            raise GatewayError("bad_request", cause="the head ends elsewhere", close=True)
        if not complete:
            return None
        message: ParsedRequest = messages[0][0]
        if message.upgrade:
            # The parser now waits for another protocol's bytes.
            self._parser = self._make()
        return message


class ResponseParser:
    """Reads the response heads of one upstream connection, interim ones included."""

    __slots__ = ("_loop", "_parser")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = self._make()

    def _make(self) -> HttpResponseParser:
        return HttpResponseParser(
            _PROTOCOL,  # type: ignore[arg-type,unused-ignore]
            self._loop,
            65536,
            max_line_size=_NO_LIMIT,
            max_headers=_NO_LIMIT,
            max_field_size=_NO_LIMIT,
            response_with_body=False,
            read_until_eof=True,
            auto_decompress=False,
        )

    def parts(self, head: bytes) -> PlainResponse:
        """The parts of one complete head, without the parser where it is of the plainest form.

        Raises GatewayError `upstream_invalid`.
        """
        plain = plain_response(head[:-4])
        if plain is None:
            parsed = self.read(head)
            lines = lines_of(parsed.raw_headers, "upstream_invalid")
            return parsed.code, parsed.version, lines
        return plain

    def read(self, head: bytes) -> ParsedResponse:
        """Read one complete head. Raises GatewayError `upstream_invalid`.

        The response parser forgives bare line feeds, folded lines and control characters;
        they are refused here, since the client may read them differently. So are the
        status lines of other protocols, and empty lines before one.
        """
        if head[:7] != b"HTTP/1.":
            raise GatewayError("upstream_invalid", cause="no HTTP/1 status line")
        ends = head.translate(None, _HARMLESS)
        if head.count(b"\r\n") * 2 != len(ends):
            raise GatewayError("upstream_invalid", cause="control characters or bare line ends")
        if b"\r\n " in head or b"\r\n\t" in head:
            raise GatewayError("upstream_invalid", cause="folded header line")
        try:
            messages, _, _ = self._parser.feed_data(head)
        except Exception as error:
            raise GatewayError("upstream_invalid", cause=type(error).__name__) from None
        if len(messages) != 1:
            raise GatewayError("upstream_invalid", cause="the head ends elsewhere")
        message = messages[0][0]
        if message.should_close or message.upgrade:
            self._parser = self._make()
        read: ParsedResponse = message
        return read
