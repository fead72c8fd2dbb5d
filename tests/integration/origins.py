"""Services for Sidegate to stand in front of: ordinary ones, and one that misbehaves.

None of them knows of Sidegate. Each is an async context manager that gives its address.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

from aiohttp import web

_RELEASE: Final = web.AppKey("release", asyncio.Event)

ACCEPTED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: x\r\n\r\n"
)
"""The head of a service that accepts a WebSocket."""

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawOrigin:
    """A socket peer that follows a script and remembers every byte it was sent.

    received: bytes of each connection, in order of opening; as far as the script read them,
    and none when `record` is off, for a test that sends more than is worth keeping.
    """

    def __init__(self, script: Script, *, record: bool = True) -> None:
        self._script = script
        self._record = record
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.received: list[bytearray] = []
        self.url = ""

    @property
    def bytes_received(self) -> bytes:
        """All bytes of all connections."""
        return b"".join(map(bytes, self.received))

    @property
    def connections(self) -> int:
        """How many were opened."""
        return len(self.received)

    async def __aenter__(self) -> RawOrigin:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = bytearray()
        self.received.append(seen)
        self._writers.append(writer)
        recording = _Recorder(reader, seen) if self._record else reader
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._script(recording, writer)
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()


class _Recorder(asyncio.StreamReader):
    """A reader that also writes down what it gives."""

    def __init__(self, reader: asyncio.StreamReader, seen: bytearray) -> None:
        super().__init__()
        self._reader = reader
        self._seen = seen

    async def read(self, n: int = -1) -> bytes:
        data = await self._reader.read(n)
        self._seen += data
        return data

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]
        data = await self._reader.readuntil(separator)
        self._seen += data
        return data

    async def readexactly(self, n: int) -> bytes:
        data = await self._reader.readexactly(n)
        self._seen += data
        return data


def answering(*responses: bytes, then_close: bool = False) -> Script:
    """A script that answers each request with the next response, the last one forever.

    Of a chunked body it takes the first empty chunk for the end, wherever it stands.
    """

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turn = 0
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"transfer-encoding: chunked" in head.lower():
                await reader.readuntil(b"0\r\n\r\n")
            elif length := _length(head):
                await reader.readexactly(length)
            writer.write(responses[min(turn, len(responses) - 1)])
            await writer.drain()
            turn += 1
            if then_close and turn >= len(responses):
                return

    return script


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"


def cutting(*pieces: bytes, reset: bool = False) -> Script:
    """A script that answers by these pieces, one at a time, and hangs up or resets."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            # One piece arrives before the next.
            await asyncio.sleep(0.02)
        if reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    return script


class Holding:
    """A script that answers each request once it is let go. asked: how many came."""

    def __init__(self) -> None:
        self.asked = 0
        self.free = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            await self.free.wait()
            writer.write(OK)


async def _echo(request: web.Request) -> web.Response:
    """What arrived, as JSON."""
    body = await request.read()
    facts = {
        "method": request.method,
        "target": request.raw_path,
        "headers": [[name, value] for name, value in request.headers.items()],
        "body": body.decode("latin-1"),
    }
    response = web.Response(text=json.dumps(facts), content_type="application/json")
    response.headers["X-Powered-By"] = "echo"
    return response


async def _sse(request: web.Request) -> web.StreamResponse:
    """An event now, another only when `/release` has been called."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: first\n\n")
    await request.app[_RELEASE].wait()
    await response.write(b"data: second\n\n")
    return response


async def _release(request: web.Request) -> web.Response:
    request.app[_RELEASE].set()
    return web.Response(status=204)


async def _upload(request: web.Request) -> web.Response:
    """Counts a body without keeping it."""
    count = 0
    async for piece in request.content.iter_chunked(256 * 1024):
        count += len(piece)
    return web.json_response({"received": count})


async def _download(request: web.Request) -> web.StreamResponse:
    """As many bytes as asked for."""
    size = int(request.query["size"])
    response = web.StreamResponse()
    if "chunked" not in request.query:
        response.content_length = size
    await response.prepare(request)
    piece = bytes(256 * 1024)
    while size > 0:
        await response.write(piece[: min(size, len(piece))])
        size -= len(piece)
    return response


async def _status(request: web.Request) -> web.Response:
    code = int(request.match_info["code"])
    if code in (204, 304):
        return web.Response(status=code)
    return web.Response(status=code, text="<h1>service page</h1>", content_type="text/html")


@contextlib.asynccontextmanager
async def aiohttp_app(
    path: str | None = None, *, folder: Path | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """An ordinary aiohttp application.

    path: of a UNIX socket to listen on instead of a port. folder: its files are under
    `/files/`. tls: it speaks HTTPS.
    """
    app = web.Application(client_max_size=1 << 40)
    app[_RELEASE] = asyncio.Event()
    app.router.add_get("/sse", _sse)
    app.router.add_post("/release", _release)
    app.router.add_post("/upload", _upload)
    app.router.add_get("/download", _download)
    app.router.add_get("/status/{code}", _status)
    if folder is not None:
        app.router.add_static("/files", folder)
    app.router.add_route("*", "/{rest:.*}", _echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site: web.BaseSite
    if path is not None:
        site = web.UnixSite(runner, path)
        await site.start()
        address = f"unix:{path}"
    else:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        scheme = "http" if tls is None else "https"
        address = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield address
    finally:
        app[_RELEASE].set()
        await runner.cleanup()


@contextlib.contextmanager
def python_process(*arguments: str, port: int, cwd: Path) -> Iterator[str]:
    """A service in a process of its own, once it accepts connections."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        late = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, "the service did not start"
            assert time.monotonic() < late, "the service does not accept connections"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
