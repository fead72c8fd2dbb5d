"""Every limit and timeout of the client's side, with its status and code.

What is refused must not reach the service, the connection must end, and another client must
be served as if nothing had been.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.client import Wire, ask, connected, request, until
from tests.integration.gateway import Gateway, running
from tests.integration.origins import OK, RawOrigin, answering

LIMITS: Final = {"head": "2KiB", "fields": 10, "target": "300B", "body": "1000B"}
HEAD: Final = b"GET / HTTP/1.1\r\nHost: service.test\r\n"
POST: Final = b"POST / HTTP/1.1\r\nHost: service.test\r\n"


@contextlib.asynccontextmanager
async def limited(folder: Path, **server: Any) -> AsyncIterator[tuple[RawOrigin, Gateway]]:
    """Sidegate with small limits before a service that says ok."""
    async with RawOrigin(answering(OK)) as origin:
        server.setdefault("limits", LIMITS)
        config = {"upstreams": {"service": origin.url}, "server": server}
        async with running(config, folder) as gateway:
            yield origin, gateway


async def refused(wire: Wire, status: int, code: str) -> None:
    """The next answer is this refusal, and the connection ends with it."""
    answer = await wire.answer()
    assert (answer.status, answer.error) == (status, code)
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["connection"] == "close"
    assert await wire.ended()


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        pytest.param(
            b"GET /" + b"a" * 400 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target_too_long",
            id="target",
        ),
        pytest.param(b"GET /" + b"a" * 5000, 414, "target_too_long", id="target without an end"),
        pytest.param(
            HEAD + b"A: " + b"b" * 2048 + b"\r\n\r\n", 431, "head_too_large", id="bytes of a head"
        ),
        pytest.param(HEAD + b"A: " + b"b" * 3000, 431, "head_too_large", id="head without an end"),
        pytest.param(
            HEAD + b"A: b\r\n" * 10 + b"\r\n", 431, "head_too_large", id="number of fields"
        ),
        pytest.param(
            POST + b"Content-Length: 1001\r\n\r\n", 413, "body_too_large", id="length of a body"
        ),
        pytest.param(
            POST + b"Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n", 413, "body_too_large",
            id="length of a body that waits",
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"64\r\n" + b"x" * 100 + b"\r\n"
            + b"385\r\n" + b"x" * 901 + b"\r\n0\r\n\r\n",
            413, "body_too_large", id="chunked body",
        ),
        pytest.param(
            HEAD + b"Expect: 200-ok\r\n\r\n", 417, "expectation_failed", id="expectation"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "unknown_coding", id="coding"
        ),
        pytest.param(
            b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501, "method_not_supported",
            id="CONNECT",
        ),
        pytest.param(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "unknown_version", id="HTTP/2.0"),
        pytest.param(b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "unknown_version", id="HTTP/1.2"),
        pytest.param(b"GET /\r\n\r\n", 505, "unknown_version", id="HTTP/0.9"),
        pytest.param(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "unknown_version", id="HTTP/2 preface"
        ),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01", 400, "bad_request", id="TLS"),
    ],
)  # fmt: skip
async def test_beyond_a_limit(data: bytes, status: int, code: str, tmp_path: Path) -> None:
    async with limited(tmp_path) as (origin, gateway):
        async with connected(gateway.url) as wire:
            await wire.send(data)
            await refused(wire, status, code)
        assert (await ask(gateway.url, request())).status == 200
        assert origin.bytes_received.count(b" HTTP/1.1\r\n") <= 2
        assert b"\r\n0\r\n\r\n" not in origin.bytes_received, "no refused body looks whole"
        lines = await gateway.lines(count=2)
        assert [line["status"] for line in lines] == [status, 200]
        assert lines[0]["error"] == code


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            b"GET /" + b"a" * 299 + b" HTTP/1.1\r\nHost: a\r\n\r\n", id="target"
        ),
        pytest.param(HEAD + b"A: " + b"b" * (2048 - len(HEAD) - 7) + b"\r\n\r\n", id="head"),
        pytest.param(HEAD + b"A: b\r\n" * 9 + b"\r\n", id="fields"),
        pytest.param(POST + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000, id="body"),
    ],
)  # fmt: skip
async def test_just_within_a_limit(data: bytes, tmp_path: Path) -> None:
    async with limited(tmp_path) as (_, gateway):
        assert (await ask(gateway.url, data)).status == 200


async def test_a_route_has_a_limit_of_its_own(tmp_path: Path) -> None:
    async with RawOrigin(answering(OK)) as origin:
        config = {
            "server": {"limits": LIMITS},
            "upstreams": {"service": origin.url},
            "routes": [
                {"name": "rest"},
                {"name": "large", "match": {"path": "/large"}, "limits": {"body": "100KiB"}},
                {"name": "small", "match": {"path": "/small"}, "limits": {"body": "10B"}},
            ],
        }
        async with running(config, tmp_path) as gateway:
            for target, size, status in (
                ("/large", 50_000, 200),
                ("/large", 103_000, 413),
                ("/small", 10, 200),
                ("/small", 11, 413),
                ("/other", 1000, 200),
                ("/other", 1001, 413),
            ):
                answer = await ask(gateway.url, request("POST", target, bytes(size)))
                assert answer.status == status, (target, size)


@pytest.mark.parametrize(
    "begun", [b"G", b"GET / HTTP/1.1\r\n", HEAD, HEAD + b"A: b", b"\r\n", HEAD + b"A: b\r\n\r"]
)
async def test_a_head_that_does_not_come_in_time(begun: bytes, tmp_path: Path) -> None:
    timeouts = {"head": "200ms"}
    async with limited(tmp_path, timeouts=timeouts) as (origin, gateway):
        async with connected(gateway.url) as wire:
            await wire.send(begun)
            if begun == b"\r\n":
                assert await wire.ended()
            else:
                await refused(wire, 408, "request_timeout")
        assert origin.connections == 0


async def test_a_head_that_trickles_in(tmp_path: Path) -> None:
    """Each byte in time doesn't make the whole in time."""
    async with (
        limited(tmp_path, timeouts={"head": "300ms"}) as (_, gateway),
        connected(gateway.url) as wire,
    ):

        async def trickle() -> None:
            with contextlib.suppress(ConnectionError):
                for number in range(1000):
                    await wire.send(b"A%d: b\r\n" % number if number else HEAD)
                    await asyncio.sleep(0.05)

        sending = asyncio.ensure_future(trickle())
        answer = await wire.answer()
        assert (answer.status, answer.error) == (408, "request_timeout")
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 10\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe"]
)
async def test_a_body_that_does_not_come_in_time(framing: bytes, tmp_path: Path) -> None:
    async with limited(tmp_path, timeouts={"body_idle": "200ms"}) as (origin, gateway):
        async with connected(gateway.url) as wire:
            await wire.send(POST + framing)
            await refused(wire, 408, "request_timeout")
        assert b"\r\n0\r\n\r\n" not in origin.bytes_received


async def test_an_idle_connection_is_closed_without_a_word(tmp_path: Path) -> None:
    timeouts = {"idle": "1s"}
    async with (
        limited(tmp_path, timeouts=timeouts) as (_, gateway),
        connected(gateway.url) as fresh,
        connected(gateway.url) as used,
    ):
        await used.send(request())
        assert (await used.answer()).status == 200
        assert await used.ended()
        assert await fresh.ended()


async def test_a_busy_connection_is_not_idle(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(1.5)
        writer.write(OK)

    async with RawOrigin(script) as origin:
        config = {
            "upstreams": {"service": origin.url},
            "server": {"timeouts": {"idle": "1s", "head": "1s", "body_idle": "1s"}},
        }
        async with running(config, tmp_path) as gateway:
            answers = await asyncio.gather(
                ask(gateway.url, request()), ask(gateway.url, request("POST", "/", b"x"))
            )
            assert [answer.status for answer in answers] == [200, 200]


async def test_more_connections_than_allowed(tmp_path: Path) -> None:
    limits = {"connections": 3}
    async with limited(tmp_path, limits=limits) as (origin, gateway):
        async with contextlib.AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(connected(gateway.url)) for _ in range(3)]
            for wire in wires:
                await wire.send(request())
                assert (await wire.answer()).status == 200
            async with connected(gateway.url) as one_more:
                answer = await one_more.answer()
                assert (answer.status, answer.error) == (503, "overloaded")
                assert answer.headers["retry-after"] == "1"
                assert await one_more.ended()
            await wires[0].send(request())
            assert (await wires[0].answer()).status == 200
        await until(lambda: gateway.app.status()["connections"] == 0)
        assert (await ask(gateway.url, request())).status == 200
        assert origin.bytes_received.count(b"GET") == 5
