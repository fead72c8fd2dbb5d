"""A client that sends exactly the bytes it is told, and reads responses strictly.

It knows just enough of HTTP/1.1 to tell where a response ends and whether it came whole;
what an ordinary client would hide (interim responses, resets, bytes too many) it shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

TIMEOUT: Final = 60.0
"""Seconds after which a test that waits has failed; generous, for a busy machine."""


class CutShort(Exception):
    """The connection ended inside a response. body: what had come of it."""

    def __init__(self, body: bytes = b"") -> None:
        super().__init__(f"after {len(body)} bytes of the body")
        self.body = body


@dataclass(frozen=True)
class Answer:
    """A response that came whole. headers: by lower-case name, repeats joined by `, `."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    interim: list[Answer] = field(default_factory=list)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The code in the error envelope."""
        code: str = self.json["error"]
        return code


class Wire:
    """A connection to the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Write bytes, as fast as they are taken."""
        self._writer.write(data)
        async with asyncio.timeout(TIMEOUT):
            await self._writer.drain()

    def end(self) -> None:
        """Send no more; reading goes on."""
        self._writer.write_eof()

    def abort(self) -> None:
        """Reset the connection; closing it would look as if only sending had ended."""
        reset(self._writer.transport)

    def pause(self) -> None:
        """Stop reading from the socket."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """Read again."""
        self._writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def head(self) -> Answer:
        """The next head, final or interim, without its body."""
        data = await self._until(b"\r\n\r\n")
        line, *lines = data[:-4].decode("latin-1").split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1", line
        headers: dict[str, str] = {}
        for text in lines:
            name, colon, value = text.partition(":")
            assert colon, text
            key = name.lower()
            value = value.strip()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return Answer(int(status), headers)

    async def answer(self, method: str = "GET") -> Answer:
        """The next response with its body. Raises CutShort when it isn't whole."""
        interim = []
        while (head := await self.head()).status < 200 and head.status != 101:
            interim.append(head)
        body = b"".join([piece async for piece in self.pieces(head, method)])
        return Answer(head.status, head.headers, body, interim)

    async def pieces(self, head: Answer, method: str = "GET") -> AsyncIterator[bytes]:
        """The body of a response as it comes. Raises CutShort."""
        assert not ("content-length" in head.headers and "transfer-encoding" in head.headers)
        if method == "HEAD" or head.status in (101, 204, 304):
            return
        if "transfer-encoding" in head.headers:
            assert head.headers["transfer-encoding"] == "chunked"
            while size := int(await self._until(b"\r\n"), 16):
                piece = await self.exactly(size + 2)
                assert piece.endswith(b"\r\n")
                yield piece[:-2]
            assert await self._until(b"\r\n") == b"\r\n"
        elif "content-length" in head.headers:
            left = int(head.headers["content-length"])
            while left:
                piece = await self.some(min(left, 65536))
                if not piece:
                    raise CutShort
                left -= len(piece)
                yield piece
        else:
            while piece := await self.some():
                yield piece

    async def exactly(self, size: int) -> bytes:
        """So many bytes. Raises CutShort."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            raise CutShort(error.partial) from None
        except ConnectionResetError:
            raise CutShort from None

    async def some(self, size: int = 65536) -> bytes:
        """What comes next; empty at the end. Raises CutShort when the connection is reset."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._reader.read(size)
        except ConnectionResetError:
            raise CutShort from None

    async def ended(self) -> bool:
        """Wait until the proxy closes; True if it sent nothing more."""
        with contextlib.suppress(CutShort):
            return await self.some() == b""
        return True

    async def _until(self, end: bytes) -> bytes:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._reader.readuntil(end)
        except asyncio.IncompleteReadError as error:
            raise CutShort(error.partial) from None
        except ConnectionResetError:
            raise CutShort from None


def reset(transport: asyncio.WriteTransport) -> None:
    """Close a connection so that the other side is told that it was broken off."""
    linger = struct.pack("ii", 1, 0)
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


@contextlib.asynccontextmanager
async def connected(
    url: str, *, buffer: int | None = None, tls: ssl.SSLContext | None = None, name: str = ""
) -> AsyncIterator[Wire]:
    """A connection to `http://HOST:PORT`, `https://HOST:PORT` or `unix:/path`.

    buffer: read-ahead in bytes. tls: settings for HTTPS. name: to ask for, if not the host.
    """
    limit = 2**20 if buffer is None else buffer
    if url.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(url[5:], limit=limit)
    else:
        host, _, port = url.partition("://")[2].rpartition(":")
        server = name or host if tls is not None else None
        reader, writer = await asyncio.open_connection(
            host, int(port), limit=limit, ssl=tls, server_hostname=server
        )
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def request(
    method: str = "GET", target: str = "/", body: bytes | None = None, /, **fields: str
) -> bytes:
    """An ordinary request; underscores in names stand for dashes."""
    lines = [f"{method} {target} HTTP/1.1", "Host: service.test"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


HANDSHAKE: Final = request(
    "GET",
    "/chat",
    connection="keep-alive, Upgrade",
    upgrade="websocket",
    sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
    sec_websocket_version="13",
)
"""Asks for a WebSocket."""


async def ask(
    url: str, data: bytes, method: str = "", *, tls: ssl.SSLContext | None = None, name: str = ""
) -> Answer:
    """The response to one request on a connection of its own."""
    async with connected(url, tls=tls, name=name) as wire:
        await wire.send(data)
        return await wire.answer(method or data.partition(b" ")[0].decode())


async def until(condition: Any, what: str = "it") -> None:
    """Return once a condition holds."""
    try:
        async with asyncio.timeout(TIMEOUT):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{what} never came about") from None
