"""Services for Sidegate to stand in front of: ordinary ones, and one that misbehaves.

None of them knows of Sidegate. Each is an async context manager that gives its address.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from aiohttp import web

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawOrigin:
    """A socket peer that follows a script and remembers every byte it was sent.

    received: bytes of each connection, in order of opening.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
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
        recording = _Recorder(reader, seen)
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
    """A script that answers each request head with the next response, the last one forever."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turn = 0
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _length(head)
            if length:
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
    await request.app["release"].wait()
    await response.write(b"data: second\n\n")
    return response


async def _release(request: web.Request) -> web.Response:
    request.app["release"].set()
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
async def aiohttp_app(path: str | None = None) -> AsyncIterator[str]:
    """An ordinary aiohttp application; on a UNIX socket when a path is given."""
    app = web.Application(client_max_size=1 << 40)
    app["release"] = asyncio.Event()
    app.router.add_get("/sse", _sse)
    app.router.add_post("/release", _release)
    app.router.add_post("/upload", _upload)
    app.router.add_get("/download", _download)
    app.router.add_get("/status/{code}", _status)
    app.router.add_route("*", "/{rest:.*}", _echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site: web.BaseSite
    if path is not None:
        site = web.UnixSite(runner, path)
        await site.start()
        address = f"unix:{path}"
    else:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield address
    finally:
        app["release"].set()
        await runner.cleanup()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def python_process(*arguments: str, port: int, cwd: Path) -> AsyncIterator[str]:
    """A service in a process of its own, once it accepts connections."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=cwd,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                assert process.returncode is None, "the service did not start"
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
