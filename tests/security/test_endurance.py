"""Clients and services that take their time, or far too much of everything.

Three things are asked of each: that it ends, that it costs no more than it may, and that an
honest client is served meanwhile. Sidegate's own times are set short; whether something
happened is asserted, not when, since the machine may be busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from proxy.http1 import headers as headers_module
from proxy.http1 import host as host_module
from proxy.http1 import line as line_module
from proxy.http1 import message as message_module
from proxy.http1 import plain as plain_module
from tests.integration.client import TIMEOUT, CutShort, connected, until
from tests.integration.origins import OK, RawOrigin, answering
from tests.integration.process import process
from tests.security.stage import Heard, Stage, get, read_answers, staged

MEBIBYTE: Final = 1024 * 1024
HOST: Final = b"Host: service.test\r\n"


def _timeouts(**times: str) -> dict[str, Any]:
    return {"server": {"timeouts": times}}


def _open(stage: Stage) -> int:
    count: int = stage.gateway.app.status()["connections"]
    return count


@contextlib.asynccontextmanager
async def an_honest_client(stage: Stage) -> AsyncIterator[None]:
    """Somebody who asks ordinarily all the while; every answer must be right."""
    done = asyncio.Event()

    async def ask() -> int:
        count = 0
        async with connected(stage.gateway.url) as wire:
            while not done.is_set() or count < 5:
                await wire.send(b"GET /honest HTTP/1.1\r\n" + HOST + b"\r\n")
                assert (await wire.answer()).status == 200
                count += 1
                await asyncio.sleep(0.01)
        return count

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        done.set()
        await asking


TRICKLES: Final = [
    b"GET /slow HTTP/1.1\r\nHost: service.test\r\n" + b"X-A: b\r\n" * 1000,
    b"GET /" + b"a" * 4000,
    b"P" * 4000,
    b"POST /slow HTTP/1.1\r\nX: " + b"y" * 4000,
]


async def test_heads_that_trickle_in_are_ended_in_time(tmp_path: Path) -> None:
    """200 connections that send a byte now and then: the time of a head is not extended."""
    async with staged(tmp_path, config=_timeouts(head="500ms")) as stage:

        async def trickle(number: int) -> int:
            async with connected(stage.gateway.url) as wire:
                answer = asyncio.create_task(wire.answer())
                data = TRICKLES[number % len(TRICKLES)]
                for at in range(len(data)):
                    if answer.done():
                        break
                    with contextlib.suppress(ConnectionError):
                        await wire.send(data[at : at + 1])
                    await asyncio.sleep(0.05)
                return (await answer).status

        async with an_honest_client(stage):
            statuses = await asyncio.gather(*(trickle(number) for number in range(200)))
        assert statuses == [408] * 200
        assert set(stage.witness.targets) == {"/honest"}
        await until(lambda: _open(stage) == 0)


@pytest.mark.parametrize(
    ("data", "statuses"), [(b"", []), (b"\r\n", []), (b"\r\n\r\n\r\n", []), (b"\r", [408])]
)
async def test_a_connection_that_says_nothing_is_closed(
    tmp_path: Path, data: bytes, statuses: list[int]
) -> None:
    """Empty lines are nothing; a lone CR is the beginning of one, and then late."""
    async with staged(tmp_path, config=_timeouts(idle="500ms", head="500ms")) as stage:
        assert [answer.status for answer in await stage.play(data)] == statuses


async def test_a_refused_client_that_stays_is_answered_once(tmp_path: Path) -> None:
    """It is left some time to read the answer, and gets no second one at the end of it."""
    async with staged(tmp_path) as stage, connected(stage.gateway.url) as wire:
        await wire.send(b"GET / HTTP/9.9\r\n\r\n")
        assert (await wire.answer()).status == 505
        assert await wire.ended()
        # The client keeps its side open; Sidegate ends it all the same.
        await until(lambda: _open(stage) == 0)
        assert len(await stage.gateway.lines()) == 1


@pytest.mark.parametrize(
    "begin",
    [
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nabc",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: ",
        b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    ],
)
async def test_a_body_that_stops_coming_is_ended(tmp_path: Path, begin: bytes) -> None:
    """And does not hold its connection to the service."""
    async with staged(tmp_path, config=_timeouts(body_idle="300ms", expect="100ms")) as stage:
        async with an_honest_client(stage), connected(stage.gateway.url) as wire:
            await wire.send(begin)
            answer = await wire.answer()
            assert (answer.status, answer.error) == (408, "request_timeout")
        assert set(stage.witness.targets) == {"/honest"}
        await until(lambda: all(pool["in_use"] == 0 for pool in stage.gateway.app.upstreams()))


def _much(heard: Heard) -> bytes:
    size = int(heard.target[1:]) if heard.target[1:].isdigit() else 2
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)


async def test_readers_that_stop_are_ended_whatever_is_left(tmp_path: Path) -> None:
    """Whether all of the answer, or only its last bytes, still wait in Sidegate's memory.

    What the kernel takes is not known, so the sizes cover the whole range; over a UNIX
    socket, where it never takes more later.
    """
    sizes = range(32 * 1024, MEBIBYTE, 16 * 1024)
    address = f"unix:{tmp_path}/s"
    times = {"body_idle": "400ms", "idle": "2s"}
    config = {"server": {"listen": [address], "timeouts": times}}
    async with staged(tmp_path, _much, config) as stage:
        async with contextlib.AsyncExitStack() as opened, an_honest_client(stage):
            for number, size in enumerate(sizes):
                sock = opened.enter_context(socket.socket(socket.AF_UNIX))
                sock.connect(address.removeprefix("unix:"))
                data = get(f"/{size}")
                # Every other one would be kept open for another request.
                sock.sendall(data.replace(b"Connection: close\r\n", b"") if number % 2 else data)
            asked = {f"/{size}" for size in sizes}
            await until(lambda: asked <= set(stage.witness.targets), "the last request")
            await until(lambda: _open(stage) <= 1, "the end of all but the honest client")
        await until(lambda: all(pool["in_use"] == 0 for pool in stage.gateway.app.upstreams()))


async def test_a_service_that_reads_no_upload_is_given_up(tmp_path: Path) -> None:
    """The client is made to wait by back-pressure, so it cannot be blamed for being late."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Less than what is on its way fits into a reader that nobody reads.
        await asyncio.Event().wait()

    upstream = {"app": {"timeouts": {"body_idle": "400ms", "response": "400ms"}}}
    config = {"upstreams": upstream, "server": {"limits": {"body": "64MiB"}}}
    async with staged(tmp_path, script=script, config=config) as stage:
        async with connected(stage.gateway.url) as wire:
            head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % (32 * MEBIBYTE)

            async def upload() -> None:
                with contextlib.suppress(ConnectionError, TimeoutError):
                    await wire.send(head + bytes(32 * MEBIBYTE))

            uploading = asyncio.create_task(upload())
            answer = await wire.answer()
            assert (answer.status, answer.error) == (504, "upstream_timeout")
            uploading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await uploading
        await until(lambda: all(pool["in_use"] == 0 for pool in stage.gateway.app.upstreams()))


async def test_a_service_that_answers_and_reads_no_further_keeps_no_socket(tmp_path: Path) -> None:
    """The rest of the upload waits to be sent to it, and nobody waits for that."""
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        # Sidegate's end of the connection goes although this one doesn't read up to it.
        while not writer.transport.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        ended.set()

    config = {"server": {"limits": {"body": "64MiB"}}}
    async with (
        staged(tmp_path, script=script, config=config) as stage,
        connected(stage.gateway.url) as wire,
    ):
        head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % (32 * MEBIBYTE)

        async def upload() -> None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                await wire.send(head + bytes(32 * MEBIBYTE))

        uploading = asyncio.create_task(upload())
        assert (await wire.answer()).status == 413
        async with asyncio.timeout(TIMEOUT):
            await ended.wait()
        uploading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await uploading


async def test_a_flood_of_pipelined_requests_is_answered_in_order(tmp_path: Path) -> None:
    """9,000 requests in one write, beside a client who wants one answer at a time."""
    count = 9000
    flood = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(count))

    def reply(heard: Heard) -> bytes:
        body = heard.target.encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async with staged(tmp_path, reply) as stage:
        async with an_honest_client(stage), connected(stage.gateway.url) as wire:
            await wire.send(flood)
            for number in range(count):
                assert (await wire.answer()).body == b"/%d" % number
        targets = [target for target in stage.witness.targets if target != "/honest"]
        assert targets == [f"/{number}" for number in range(count)]
        # One request at a time: the honest client's connection and this one's.
        assert stage.witness.raw.connections <= 2


async def test_floods_and_idle_connections_cost_little_memory(tmp_path: Path) -> None:
    """Measured on a process of its own."""
    async with RawOrigin(answering(OK)) as origin:
        with process({"upstreams": {"app": origin.url}}, tmp_path) as proxy:
            loop = asyncio.get_running_loop()

            async def ask(count: int) -> None:
                async with connected(proxy.url) as wire:
                    for _ in range(count):
                        await wire.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
                        assert (await wire.answer()).status == 200

            await ask(200)
            before = proxy.rss
            async with contextlib.AsyncExitStack() as opened:
                for _ in range(1000):
                    sock = opened.enter_context(socket.socket())
                    sock.setblocking(False)
                    await loop.sock_connect(sock, ("127.0.0.1", proxy.port))
                    await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: serv")
                await ask(20)
                idle = proxy.rss - before
            assert idle < 1000 * 24 * 1024, f"{idle / 1000:.0f} bytes for each idle connection"
            flood = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 10_000
            async with contextlib.AsyncExitStack() as opened:
                # Clients who ask and don't read, and one who does.
                for _ in range(20):
                    sock = opened.enter_context(socket.socket())
                    sock.setblocking(False)
                    await loop.sock_connect(sock, ("127.0.0.1", proxy.port))
                    with contextlib.suppress(BlockingIOError):
                        sock.send(flood)
                await ask(20)
                flooded = proxy.rss - before - max(idle, 0)
            assert flooded < 24 * MEBIBYTE, f"{flooded} bytes for 20 floods"


async def test_distinct_names_and_hosts_fill_no_memory(tmp_path: Path) -> None:
    """What is remembered of names to be quick is bounded, in both directions."""
    number = 0

    def reply(heard: Heard) -> bytes:
        names = b"".join(b"X-R%s-%d: 1\r\n" % (heard.target[1:].encode(), n) for n in range(50))
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + names + b"\r\n"

    async with staged(tmp_path, reply) as stage, connected(stage.gateway.url) as wire:
        for turn in range(1100):
            fields = b"".join(b"X-N%d: 1\r\n" % (number + n) for n in range(95))
            number += 95
            await wire.send(
                b"GET /%d HTTP/1.1\r\nHost: h%d.test\r\n" % (turn, turn) + fields + b"\r\n"
            )
            assert (await wire.answer()).status == 200
        assert number > 100_000
        assert len(headers_module._KEYS) <= 2048
        assert len(line_module._NAMES) <= 2048
        assert len(line_module._LINES) <= 4096
        assert len(line_module._VALUES) <= 4096
        assert len(message_module._OPTIONS) <= 256
        assert len(plain_module._STARTS) <= 256
        assert len(host_module._MEMORY) <= 1024
        heard = stage.witness.heard[-1]
        assert f"x-n{number - 1}" in heard.names


LARGE: Final = [
    ("Accept", "a/b;q=0.1," * 3000),
    ("Accept", "*" * 30_000),
    ("Accept", "text/html;" * 3000),
    ("Cookie", "a=b; " * 6000),
    ("Connection", ",".join(f"x{n}" for n in range(5000))),
    ("Connection", "," * 30_000),
    ("X-Forwarded-For", "," * 30_000),
    ("X-Forwarded-For", "1.2.3.4," * 3700),
    ("X-Forwarded-For", "[" * 30_000),
    ("X-Forwarded-Host", "a." * 15_000),
    ("Forwarded", 'for="' * 6000),
    ("X-Request-ID", "a" * 30_000),
    ("traceparent", "00-" * 10_000),
    ("tracestate", "a=b," * 7500),
    ("tracestate", "a" * 30_000),
    ("Via", "1.1 a, " * 4200),
    ("Expect", "100-continue" * 2500),
    ("User-Agent", "\xff" * 30_000),
    ("Host", "a" * 30_000),
    ("Host", "a." * 15_000),
    ("Host", "[" + ":" * 30_000),
    ("Transfer-Encoding", "chunked, " * 3300),
    ("Content-Length", "1" * 30_000),
    ("Upgrade", "websocket," * 3000),
    ("Keep-Alive", "timeout=1," * 3000),
    ("Range", "bytes=" + "0-1," * 7000),
]


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The garbage of all tests before takes as long to collect as it happens to."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(("name", "value"), LARGE, ids=lambda text: text[:20])
async def test_no_value_is_costly_to_read(tmp_path: Path, name: str, value: str) -> None:
    """The largest head that is read takes no time to speak of: nothing is quadratic."""
    trusted = {"server": {"trusted_proxies": ["127.0.0.0/8", "1.2.3.4/32"]}}
    plain = b"GET / HTTP/1.1\r\n" + (b"" if name == "Host" else HOST)
    data = plain + f"{name}: {value}\r\nConnection: close\r\n\r\n".encode("latin-1")
    async with staged(tmp_path, config=trusted) as stage:
        began = time.process_time()
        assert len(await stage.play(data)) == 1
        # A thousand times what an ordinary request takes.
        assert time.process_time() - began < 0.5


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    "query", ["&" * 8000, ";" * 8000, "a=b&" * 2000, "token=" * 1300, "%" * 8000, "%25" * 2600]
)
async def test_no_query_is_costly_to_read(tmp_path: Path, query: str) -> None:
    routes = [
        {"name": "asked", "match": {"query": {"wanted": "yes"}}, "upstream": "app"},
        {"name": "rest", "upstream": "app"},
    ]
    async with staged(tmp_path, config={"routes": routes}) as stage:
        began = time.process_time()
        [answer] = await stage.play(get(f"/?{query}"))
        await stage.gateway.lines()
        assert answer.status == 200
        assert time.process_time() - began < 0.5


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    "path", ["/a" * 4000, "/a;b" * 2000, "/%41" * 2000, "/" + "%C3%A9" * 1300, "/" + "." * 8000]
)
async def test_no_path_is_costly_to_read(tmp_path: Path, path: str) -> None:
    routes = [{"name": "deep", "match": {"path": "/a/{b}/a/{c}/**"}, "upstream": "app"},
              {"name": "rest", "upstream": "app"}]  # fmt: skip
    async with staged(tmp_path, config={"routes": routes}) as stage:
        began = time.process_time()
        [answer] = await stage.play(get(path))
        # The one with parameters would take another route without them.
        assert answer.status == (400 if ";" in path else 200)
        assert time.process_time() - began < 0.5


async def test_a_body_of_little_but_framing_is_refused(tmp_path: Path) -> None:
    """A megabyte of extensions for a few bytes of data."""
    chunks = b"1;" + b"x" * 4000 + b"\r\na\r\n"
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    async with staged(tmp_path) as stage:
        [answer] = await stage.play(head + chunks * 256)
        assert (answer.status, answer.error) == (400, "invalid_framing")
        assert stage.witness.heard == []


async def test_too_many_connections_are_told_so_and_leave_room_again(tmp_path: Path) -> None:
    config = {"server": {"limits": {"connections": 20}}}
    async with staged(tmp_path, config=config) as stage:
        async with contextlib.AsyncExitStack() as opened:
            wires = [
                await opened.enter_async_context(connected(stage.gateway.url)) for _ in range(20)
            ]
            for wire in wires:
                await wire.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
                assert (await wire.answer()).status == 200
            for _ in range(5):
                [answer] = read_answers(await stage.gateway.raw(b""))
                assert (answer.status, answer.error) == (503, "overloaded")
        await until(lambda: _open(stage) == 0)
        [answer] = await stage.play(get())
        assert answer.status == 200


async def test_an_endless_response_stops_at_a_client_who_left(tmp_path: Path) -> None:
    """The service must not go on sending to nobody."""
    stopped = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(bytes(65536))
                await writer.drain()
        finally:
            stopped.set()

    async with staged(tmp_path, script=script) as stage:
        async with connected(stage.gateway.url) as wire:
            await wire.send(get())
            await wire.exactly(MEBIBYTE)
        async with asyncio.timeout(TIMEOUT):
            await stopped.wait()
        with contextlib.suppress(CutShort):
            await until(lambda: _open(stage) == 0)
