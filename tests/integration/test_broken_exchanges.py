"""How exchanges break: on either side, before, amid and after a response, and what is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from tests.integration.client import TIMEOUT, CutShort, ask, connected, request, until
from tests.integration.gateway import before
from tests.integration.origins import OK, cutting

POST: Final = b"POST /upload HTTP/1.1\r\nHost: service.test\r\n"


@pytest.mark.parametrize(
    ("pieces", "reset"),
    [
        pytest.param([b"Content-Length: 11\r\n\r\nhello"], False, id="by length"),
        pytest.param([b"Content-Length: 11\r\n\r\n", b"hello"], True, id="by length, reset"),
        pytest.param(
            [b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n"], False, id="in chunks"
        ),
        pytest.param(
            [b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n0\r\n"], False, id="last chunk"
        ),
        pytest.param(
            [b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\nxyz\r\n"], False, id="garbage"
        ),
        pytest.param([b"\r\n", b"hello"], True, id="until it closes, reset"),
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_body_cut_short_is_never_passed_off_as_complete(
    pieces: list[bytes], reset: bool, version: str, tmp_path: Path
) -> None:
    script = cutting(b"HTTP/1.1 200 OK\r\n", *pieces, reset=reset)
    async with before(script, tmp_path) as (_, gateway), connected(gateway.url) as wire:
        await wire.send(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
        with pytest.raises(CutShort):
            # Where the end of the connection ends the body, only a reset tells.
            await wire.answer()
        [line] = await gateway.lines()
        assert line["aborted"] in ("upstream_closed", "upstream_invalid")


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        ([], "upstream_closed"),
        ([b"HTTP/1.1 200 OK\r\nConte"], "upstream_invalid"),
        ([b"HTTP/1.1 103 Early Hints\r\n\r\n"], "upstream_closed"),
    ],
)
async def test_a_response_that_never_began_is_a_502(
    pieces: list[bytes], error: str, tmp_path: Path
) -> None:
    async with (
        before(cutting(*pieces), tmp_path) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(request("POST", "/", b"x"))
        answer = await wire.answer()
        assert (answer.status, answer.error) == (502, error)
        # The client did nothing wrong, and its connection goes on.
        await wire.send(request("POST", "/", b"x"))
        assert (await wire.answer()).status == 502


async def test_an_early_answer_reaches_a_client_that_is_still_sending(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(1)
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await reader.read()

    async with (
        before(script, tmp_path) as (origin, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(POST + b"Content-Length: 100000\r\n\r\n" + bytes(50000))
        answer = await wire.answer()
        assert (answer.status, answer.body) == (403, b"no")
        assert answer.headers["connection"] == "close"
        # What is still coming is taken, or a reset would take the answer from the client.
        await wire.send(bytes(40000))
        assert await wire.ended()
        assert (await ask(gateway.url, request("POST", "/", b"x"))).status == 403
        assert origin.connections == 2, "the connection with half a request was not used again"


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("way", ["reset", "half-close"])
async def test_half_an_upload_never_looks_whole(framing: bytes, way: str, tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"POST" not in head:
            writer.write(OK)
            return
        try:
            while await reader.read(65536):
                pass
        finally:
            ended.set()

    async with before(script, tmp_path) as (origin, gateway):
        async with connected(gateway.url) as wire:
            await wire.send(POST + framing + b"\r\n" + b"5\r\nhello\r\n")
            await until(lambda: b"hello" in origin.bytes_received)
            if way == "reset":
                wire.abort()
            else:
                wire.end()
                answer = await wire.answer()
                assert (answer.status, answer.error) == (400, "incomplete_body")
                assert await wire.ended()
        async with asyncio.timeout(TIMEOUT):
            await ended.wait()
        body = origin.bytes_received.partition(b"\r\n\r\n")[2]
        assert body == b"5\r\nhello\r\n"
        assert (await ask(gateway.url, request())).status == 200
        assert origin.connections == 2
        [line] = [line for line in await gateway.lines(count=2) if line["method"] == "POST"]
        assert line["request_id"]
        if way == "reset":
            assert (line["status"], line["aborted"]) == (0, "client_closed")


async def test_a_client_that_leaves_frees_the_upstream_at_once(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()
        gone.set()

    async with before(script, tmp_path) as (origin, gateway):
        async with connected(gateway.url) as wire:
            await wire.send(request())
            await until(lambda: origin.connections == 1)
            wire.abort()
        async with asyncio.timeout(TIMEOUT):
            await gone.wait()
        [line] = await gateway.lines()
        assert (line["status"], line["aborted"]) == (0, "client_closed")


async def test_a_client_that_closes_amid_a_body_frees_the_upstream(tmp_path: Path) -> None:
    """A close is told from a half-close by what is sent next."""
    gone = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"data: still there?\n\n")
            await asyncio.sleep(0.01)
        gone.set()

    async with before(script, tmp_path) as (_, gateway):
        async with connected(gateway.url) as wire:
            await wire.send(request())
            await wire.head()
        async with asyncio.timeout(TIMEOUT):
            await gone.wait()
        [line] = await gateway.lines()
        assert (line["status"], line["aborted"]) == (200, "client_closed")


async def test_a_client_that_sends_no_more_still_gets_its_answer(tmp_path: Path) -> None:
    async with before(cutting(OK), tmp_path) as (_, gateway):
        raw = await gateway.raw(request() + request(), half_close=True)
        assert raw.count(b"HTTP/1.1 200 ") == 2
        assert raw.endswith(b"ok")
