"""Bodies pass as they come, both ways, and nobody is sent more than he takes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.integration.client import TIMEOUT, connected, request, until
from tests.integration.gateway import before, running
from tests.integration.origins import RawOrigin, aiohttp_app
from tests.integration.process import process

MEBIBYTE: Final = 1024 * 1024
# What four socket buffers of the kernel hold at most, with those of the proxy.
BUFFERS: Final = 40 * MEBIBYTE


async def test_an_event_arrives_before_the_next_is_sent(tmp_path: Path) -> None:
    async with (
        aiohttp_app() as service,
        running({"upstreams": {"service": service}}, tmp_path) as gateway,
        aiohttp.ClientSession() as session,
        asyncio.timeout(TIMEOUT),
        session.get(f"{gateway.url}/sse") as events,
    ):
        assert events.content_type == "text/event-stream"
        assert await events.content.readuntil(b"\n\n") == b"data: first\n\n"
        async with session.post(f"{gateway.url}/release") as released:
            assert released.status == 204
        assert await events.content.readuntil(b"\n\n") == b"data: second\n\n"
        assert await events.content.read() == b""


async def test_a_long_poll_is_answered_once_there_is_something(tmp_path: Path) -> None:
    """The head waits with the body, and a HTTP/1.0 client is served as well."""
    news = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await news.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnews")

    async with (
        RawOrigin(script) as origin,
        running({"upstreams": {"service": origin.url}}, tmp_path) as gateway,
        connected(gateway.url) as first,
        connected(gateway.url) as second,
    ):
        await first.send(request())
        await second.send(b"GET / HTTP/1.0\r\n\r\n")
        await until(lambda: origin.connections == 2)
        news.set()
        assert (await first.answer()).body == b"news"
        assert (await second.answer()).body == b"news"


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_piece_of_an_upload_arrives_before_the_next_is_sent(
    chunked: bool, tmp_path: Path
) -> None:
    head = "POST / HTTP/1.1\r\nHost: a\r\n"
    head += "Transfer-Encoding: chunked\r\n\r\n" if chunked else "Content-Length: 9\r\n\r\n"
    pieces = [b"5\r\nfirst\r\n", b"4\r\nlast\r\n0\r\n\r\n"] if chunked else [b"first", b"last"]

    end = b"0\r\n\r\n" if chunked else b"last"
    seen = bytearray()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not seen.endswith(end):
            seen.extend(await reader.read(1))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    async with (
        RawOrigin(script) as origin,
        running({"upstreams": {"service": origin.url}}, tmp_path) as gateway,
        connected(gateway.url) as wire,
    ):
        await wire.send(head.encode())
        await wire.send(pieces[0])
        await until(lambda: b"first" in seen, "the first piece at the origin")
        assert b"last" not in seen
        await wire.send(pieces[1])
        assert (await wire.answer()).body == b"done"


async def test_both_directions_at_once(tmp_path: Path) -> None:
    """The service answers each piece of a request before it has seen the next."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            line = await reader.readline()
            piece = await reader.readexactly(int(line, 16) + 2)
            writer.write(line + piece)
            if line == b"0\r\n":
                break

    async with (
        RawOrigin(script) as origin,
        running({"upstreams": {"service": origin.url}}, tmp_path) as gateway,
        connected(gateway.url) as wire,
    ):
        await wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        pieces = wire.pieces(await wire.head())
        for number in range(20):
            await wire.send(b"4\r\n%04d\r\n" % number)
            assert await anext(pieces) == b"%04d" % number
        await wire.send(b"0\r\n\r\n")
        assert [piece async for piece in pieces] == []


async def test_a_slow_reader_pauses_the_service(tmp_path: Path) -> None:
    size = 200 * MEBIBYTE
    piece = bytes(256 * 1024)
    sent = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)

    async with (
        RawOrigin(script) as origin,
        running({"upstreams": {"service": origin.url}}, tmp_path) as gateway,
        connected(gateway.url, buffer=65536) as wire,
    ):
        await wire.send(request())
        head = await wire.head()
        await standstill(lambda: sent)
        assert sent < BUFFERS
        count = 0
        async for data in wire.pieces(head):
            count += len(data)
        assert count == size


async def test_a_slow_service_pauses_the_client(tmp_path: Path) -> None:
    size = 200 * MEBIBYTE
    go_on = asyncio.Event()
    sent = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        left = size
        while left:
            left -= len(await reader.read(MEBIBYTE))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    async with (
        RawOrigin(script, record=False) as origin,
        running(
            {"upstreams": {"service": origin.url}, "server": {"limits": {"body": "1GiB"}}},
            tmp_path,
        ) as gateway,
        connected(gateway.url) as wire,
    ):

        async def upload() -> None:
            nonlocal sent
            await wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            while sent < size:
                await wire.send(bytes(256 * 1024))
                sent += 256 * 1024

        async with asyncio.TaskGroup() as group:
            group.create_task(upload())
            await until(lambda: sent > 0)
            await standstill(lambda: sent)
            assert sent < BUFFERS
            go_on.set()
        assert (await wire.answer()).body == b"done"


async def standstill(count: Callable[[], int]) -> None:
    """Return once a count has stopped growing."""
    async with asyncio.timeout(TIMEOUT):
        before = -1
        while before != count():
            before = count()
            await asyncio.sleep(0.3)


SIZE: Final = 2 * 1024 * MEBIBYTE
PIECE: Final = bytes(MEBIBYTE)
CHUNK: Final = b"10000\r\n" + bytes(65536) + b"\r\n"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("way", ["upload", "download"])
def test_two_gibibytes_pass_in_little_memory(way: str, chunked: bool, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as origin:
        port = origin.getsockname()[1]
        config = {
            "upstreams": {"service": f"http://127.0.0.1:{port}"},
            "server": {"limits": {"body": "3GiB"}},
        }
        with process(config, tmp_path) as sidegate:
            service = threading.Thread(target=serve, args=(origin, way, chunked), daemon=True)
            service.start()
            with socket.create_connection(("127.0.0.1", sidegate.port)) as client:
                # A first exchange, so that what is allocated once doesn't count.
                client.sendall(request())
                assert client.recv(65536).startswith(b"HTTP/1.1 204")
                before = sidegate.rss
                most = [before]
                watch = threading.Event()
                watcher = threading.Thread(target=sample, args=(lambda: sidegate.rss, most, watch))
                watcher.start()
                try:
                    if way == "upload":
                        send_body(client, b"POST / HTTP/1.1\r\nHost: a\r\n", chunked)
                        assert b" 200 " in client.recv(65536)
                    else:
                        client.sendall(request("GET", "/big"))
                        assert receive_body(client) >= SIZE
                finally:
                    watch.set()
                    watcher.join()
            service.join(20)
            assert max(most) - before < 16 * MEBIBYTE
            assert len(most) > 3, "the memory was watched"


def sample(rss: Callable[[], int], seen: list[int], stop: threading.Event) -> None:
    while not stop.wait(0.02):
        seen.append(rss())


def serve(listening: socket.socket, way: str, chunked: bool) -> None:
    """The service: a 204, then two gibibytes in or out."""
    connection, _ = listening.accept()
    with connection, contextlib.suppress(ConnectionError):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        if way == "download":
            read_head(connection)
            send_body(connection, b"HTTP/1.1 200 OK\r\n", chunked)
        else:
            assert receive_body(connection) >= SIZE
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def send_body(connection: socket.socket, head: bytes, chunked: bool) -> None:
    if chunked:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        sixteen = CHUNK * 16
        for _ in range(SIZE // (65536 * 16)):
            connection.sendall(sixteen)
        connection.sendall(b"0\r\n\r\n")
    else:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % SIZE)
        for _ in range(SIZE // len(PIECE)):
            connection.sendall(PIECE)


def read_head(connection: socket.socket) -> bytes:
    """A head, and what came of the body with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise ConnectionResetError
        data += more
    return data


def receive_body(connection: socket.socket) -> int:
    """How many bytes came of a body, to its end; with the lines of chunks, if there are any."""
    head, _, rest = read_head(connection).partition(b"\r\n\r\n")
    chunked = b"transfer-encoding: chunked" in head.lower()
    count = len(rest)
    tail = rest
    buffer = bytearray(MEBIBYTE)
    while not tail.endswith(b"\r\n0\r\n\r\n") if chunked else count < SIZE:
        size = connection.recv_into(buffer)
        assert size, f"cut short after {count} bytes"
        count += size
        tail = (tail + buffer[max(0, size - 16) : size])[-16:]
    return count


async def test_a_reader_that_stands_still_is_let_go(tmp_path: Path) -> None:
    """It would hold its connection, and the service's, for ever."""
    gone = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
        try:
            while True:
                writer.write(bytes(256 * 1024))
                await writer.drain()
        finally:
            gone.set()

    server = {"timeouts": {"body_idle": "300ms"}}
    async with (
        RawOrigin(script) as origin,
        running({"upstreams": {"service": origin.url}, "server": server}, tmp_path) as gateway,
        connected(gateway.url, buffer=65536) as wire,
    ):
        await wire.send(request())
        await wire.head()
        async with asyncio.timeout(TIMEOUT):
            await gone.wait()
        [line] = await gateway.lines()
        assert (line["status"], line["aborted"]) == (200, "slow_reader")


async def test_a_service_that_takes_nothing_is_given_up(tmp_path: Path) -> None:
    """It accepts the connection and the head, and then doesn't read."""
    stop = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await stop.wait()

    size = 200 * MEBIBYTE
    timeouts = {"response": "300ms", "body_idle": "300ms"}
    config = {"server": {"limits": {"body": "1GiB"}}}
    async with (
        before(script, tmp_path, upstream={"timeouts": timeouts}, **config) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)

        async def upload() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    await wire.send(bytes(256 * 1024))

        sending = asyncio.ensure_future(upload())
        answer = await wire.answer()
        assert (answer.status, answer.error) == (504, "upstream_timeout")
        sending.cancel()
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
