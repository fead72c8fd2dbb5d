"""One request and one response after another: framing, order, and interim ones."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from tests.integration.client import ask, connected, request, until
from tests.integration.gateway import before, running
from tests.integration.origins import OK, Script, answering, cutting

POST: Final = b"POST /upload HTTP/1.1\r\nHost: service.test\r\n"


# -- framing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"Content-Length: 11\r\n\r\nhello", b" world"], id="by length"),
        pytest.param(
            [
                b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
                b"lo\r\n6;note=1\r\n world\r",
                b"\n0\r\nX-Trailer: secret\r\n\r",
                b"\n",
            ],
            id="in chunks",
        ),
        pytest.param([b"\r\nhello", b" world"], id="until it closes"),
    ],
)
async def test_a_body_arrives_whole_however_it_is_framed(
    pieces: list[bytes], tmp_path: Path
) -> None:
    script = cutting(b"HTTP/1.1 200 OK\r\n", *pieces)
    async with before(script, tmp_path) as (_, gateway):
        async with connected(gateway.url) as wire:
            for _ in range(2):
                await wire.send(request())
                answer = await wire.answer()
                assert answer.body == b"hello world"
                assert "x-trailer" not in answer.headers
        # HTTP/1.0 knows no chunks: there the end of the connection is the end of the body.
        raw = await gateway.raw(b"GET / HTTP/1.0\r\n\r\n")
        head, _, body = raw.partition(b"\r\n\r\n")
        assert body == b"hello world"
        assert b"transfer-encoding" not in head.lower()
        assert head.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 100\r\n\r\n'),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("POST", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ],
)
async def test_a_response_without_a_body_leaves_both_connections_in_step(
    method: str, head: bytes, tmp_path: Path
) -> None:
    async with (
        before(answering(head, OK), tmp_path) as (origin, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(request(method) + request())
        first = await wire.answer(method)
        assert first.body == b""
        if b"Content-Length: 100" in head:
            assert first.headers["content-length"] == "100"
        if first.status == 204 or head.endswith(b"OK\r\n\r\n"):
            assert "content-length" not in first.headers
        assert (await wire.answer()).body == b"ok"
        assert origin.connections == 1


async def test_a_request_body_reaches_the_service_as_it_was_framed(tmp_path: Path) -> None:
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    async with (
        before(reading(b"0\r\n\r\n"), tmp_path) as (origin, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(chunked + b"5;x=y\r\nhello\r\n")
        await until(lambda: b"hello" in origin.bytes_received)
        await wire.send(b"6\r\n world\r\n0\r\nX-Trailer: secret\r\n\r\n")
        assert (await wire.answer()).status == 200
        head, _, body = origin.bytes_received.partition(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        assert b"Content-Length" not in head
        assert body == b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"


def reading(end: bytes) -> Script:
    """A script that answers once the request ends with these bytes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = b""
        while piece := await reader.read(65536):
            seen += piece
            if seen.endswith(end):
                writer.write(OK)
                seen = b""

    return script


@pytest.mark.parametrize(
    ("fields", "kept"),
    [("", False), ("Connection: keep-alive\r\n", True), ("Connection: close\r\n", False)],
)
async def test_a_client_of_http_1_0(fields: str, kept: bool, tmp_path: Path) -> None:
    data = f"GET / HTTP/1.0\r\n{fields}\r\n".encode()
    async with before(answering(OK), tmp_path) as (_, gateway), connected(gateway.url) as wire:
        await wire.send(data)
        answer = await wire.answer()
        assert answer.body == b"ok"
        assert answer.headers["connection"] == ("keep-alive" if kept else "close")
        if kept:
            await wire.send(data)
            assert (await wire.answer()).body == b"ok"
        else:
            assert await wire.ended()


async def test_connection_close_is_heeded(tmp_path: Path) -> None:
    async with before(answering(OK), tmp_path) as (origin, gateway):
        async with connected(gateway.url) as wire:
            await wire.send(request(connection="close") + request("GET", "/never"))
            answer = await wire.answer()
            assert answer.headers["connection"] == "close"
            assert await wire.ended()
        assert b"/never" not in origin.bytes_received


# -- pipelining --------------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b" ", 2)
            if method == b"POST":
                target += b":" + await reader.readexactly(5)
            number = int(target[1:].partition(b":")[0])
            # The first are the slowest.
            await asyncio.sleep((50 - number) / 5000)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(target) + target)

    requests, bodies = b"", []
    for number in range(50):
        if number % 3:
            requests += request("GET", f"/{number}")
            bodies.append(f"/{number}".encode())
        elif number % 2:
            requests += request("POST", f"/{number}", b"%05d" % number)
            bodies.append(b"/%d:%05d" % (number, number))
        else:
            requests += (
                b"POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % number
            )
            requests += b"5\r\n%05d\r\n0\r\n\r\n" % number
            bodies.append(b"/%d:%05d" % (number, number))
    async with before(script, tmp_path) as (_, gateway), connected(gateway.url) as wire:
        await wire.send(requests)
        assert [(await wire.answer()).body for _ in bodies] == bodies


async def test_pipelined_requests_cut_anywhere(tmp_path: Path) -> None:
    """Where the network cuts the stream of bytes makes no difference."""
    data = request("GET", "/1") + request("POST", "/2", b"body") + request("GET", "/3")
    async with before(answering(OK), tmp_path) as (origin, gateway):
        for cut in range(1, len(data), 7):
            async with connected(gateway.url) as wire:
                await wire.send(data[:cut])
                await asyncio.sleep(0)
                await wire.send(data[cut:])
                assert [(await wire.answer()).status for _ in range(3)] == [200] * 3
        assert origin.bytes_received.count(b"POST /2") == len(range(1, len(data), 7))


# -- interim responses -------------------------------------------------------------------------

HINTS: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"


async def test_early_hints_are_passed_on(tmp_path: Path) -> None:
    async with before(answering(HINTS + HINTS + OK), tmp_path) as (_, gateway):
        answer = await ask(gateway.url, request())
        assert [hint.status for hint in answer.interim] == [103, 103]
        assert answer.interim[0].headers["link"] == "</a.css>; rel=preload"
        assert answer.body == b"ok"
        assert answer.headers["x-request-id"]


async def test_early_hints_are_kept_from_clients_that_do_not_know_them(tmp_path: Path) -> None:
    async with before(answering(HINTS + OK), tmp_path) as (_, gateway):
        raw = await gateway.raw(b"GET / HTTP/1.0\r\n\r\n")
        assert raw.startswith(b"HTTP/1.1 200 ")
        assert b"103" not in raw.partition(b"\r\n")[0]


EXPECTING: Final = POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"


async def test_the_upstream_says_continue(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(5)
        writer.write(OK)

    timeouts = {"expect": "60s"}
    async with (
        before(script, tmp_path, server={"timeouts": timeouts}) as (origin, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(EXPECTING)
        assert (await wire.head()).status == 100
        assert b"\r\nExpect: 100-continue\r\n" in origin.bytes_received
        await wire.send(b"hello")
        answer = await wire.answer()
        assert (answer.status, answer.interim) == (200, [])
        assert origin.bytes_received.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("status", [b"417 Expectation Failed", b"401 Unauthorized", b"200 OK"])
async def test_the_upstream_decides_without_the_body(status: bytes, tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    timeouts = {"expect": "60s"}
    async with (
        before(script, tmp_path, server={"timeouts": timeouts}) as (origin, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(EXPECTING)
        answer = await wire.answer()
        assert answer.status == int(status[:3])
        assert answer.interim == [], "the body was not asked for"
        assert answer.headers["connection"] == "close", "nobody knows whether the body will come"
        assert await wire.ended()
        await until(lambda: origin.bytes_received.endswith(b"\r\n\r\n"))


async def test_the_upstream_says_nothing_and_sidegate_says_continue(tmp_path: Path) -> None:
    timeouts = {"expect": "100ms"}
    async with (
        before(reading(b"hello"), tmp_path, server={"timeouts": timeouts}) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(EXPECTING)
        assert (await wire.head()).status == 100
        await wire.send(b"hello")
        assert (await wire.answer()).body == b"ok"


async def test_a_client_that_does_not_wait_for_continue(tmp_path: Path) -> None:
    async with (
        before(reading(b"hello"), tmp_path) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(EXPECTING + b"hello")
        answer = await wire.answer()
        assert (answer.body, answer.interim) == (b"ok", [])


async def test_a_body_that_nobody_wants_is_not_asked_for(tmp_path: Path) -> None:
    """An answer that Sidegate makes itself needs no body."""
    routes = [{"name": "all", "policies": {"respond": 403}}]
    async with running({"routes": routes}, tmp_path) as gateway, connected(gateway.url) as wire:
        await wire.send(EXPECTING)
        answer = await wire.answer()
        assert (answer.status, answer.interim) == (403, [])
        assert await wire.ended()


async def test_an_upstream_that_says_continue_unasked(tmp_path: Path) -> None:
    script = answering(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    async with before(script, tmp_path) as (_, gateway):
        answer = await ask(gateway.url, request("POST", "/", b"hello"))
        assert (answer.body, answer.interim) == (b"ok", [])


async def test_a_get_with_a_body(tmp_path: Path) -> None:
    async with before(answering(OK), tmp_path) as (origin, gateway):
        async with connected(gateway.url) as wire:
            await wire.send(request("GET", "/1", b"hello") + request("GET", "/2"))
            assert [(await wire.answer()).status for _ in range(2)] == [200, 200]
        assert b"Content-Length: 5\r\n\r\nhelloGET /2" in origin.bytes_received
