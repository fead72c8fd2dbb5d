"""Services that are down, too slow, or that speak something else than HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.client import Answer, ask, connected, request
from tests.integration.gateway import Gateway, before, running
from tests.integration.origins import OK, Holding, RawOrigin, answering
from tests.integration.ports import free_port

EMPTY: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"


def pool(gateway: Gateway) -> dict[str, Any]:
    """The state of the only pool, as the admin API tells it."""
    [state] = gateway.app.upstreams()
    return state


# -- services that can't be reached, or take too long ------------------------------------------


async def two_endpoints(folder: Path, *endpoints: str) -> list[Answer]:
    config = {"upstreams": {"service": {"endpoints": list(endpoints)}}}
    async with running(config, folder) as gateway:
        return [await ask(gateway.url, request("POST", "/", b"x")) for _ in range(4)]


async def test_a_service_that_is_down(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    for answer in await two_endpoints(tmp_path, endpoint):
        assert (answer.status, answer.error) == (502, "upstream_unreachable")
        assert endpoint.encode() not in answer.body, "internal facts are for the log"


async def test_the_log_says_in_words_why_a_service_is_down(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    async with running({"upstreams": {"service": endpoint}}, tmp_path) as gateway:
        await ask(gateway.url, request())
        [note] = await gateway.lines("request failed")
        assert note["cause"] == f"{endpoint}: Connection refused"


async def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    for answer in await two_endpoints(tmp_path, f"unix:{tmp_path}/nothing.sock"):
        assert (answer.status, answer.error) == (502, "upstream_unreachable")


async def test_the_next_endpoint_is_tried(tmp_path: Path) -> None:
    async with RawOrigin(answering(OK)) as origin:
        down = f"http://127.0.0.1:{free_port()}"
        answers = await two_endpoints(tmp_path, down, origin.url)
        assert [answer.status for answer in answers] == [200] * 4
        assert origin.bytes_received.count(b"POST") == 4


async def test_endpoints_take_turns(tmp_path: Path) -> None:
    async with RawOrigin(answering(OK)) as first, RawOrigin(answering(OK)) as second:
        service = {"endpoints": [first.url, second.url], "balance": "round_robin"}
        async with running({"upstreams": {"service": service}}, tmp_path) as gateway:
            for _ in range(4):
                await ask(gateway.url, request("POST", "/", b"x"))
        assert first.bytes_received.count(b"POST") == 2
        assert second.bytes_received.count(b"POST") == 2


@pytest.fixture
def full() -> Iterator[str]:
    """An address whose queue of connections is full: the kernel lets another wait."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


async def test_a_connection_that_is_not_accepted_in_time(full: str, tmp_path: Path) -> None:
    config = {"upstreams": {"service": {"endpoints": [full], "timeouts": {"connect": "200ms"}}}}
    async with running(config, tmp_path) as gateway:
        answer = await ask(gateway.url, request())
        assert (answer.status, answer.error) == (504, "connect_timeout")


async def test_a_response_that_does_not_come_in_time(tmp_path: Path) -> None:
    script = Holding()
    async with before(script, tmp_path, upstream={"timeouts": {"response": "200ms"}}) as (
        origin,
        gateway,
    ):
        for data in (request(), request("POST", "/", b"x")):
            answer = await ask(gateway.url, data)
            assert (answer.status, answer.error) == (504, "upstream_timeout")
        assert origin.connections == 2, "an answer that comes late must find nobody"
        assert pool(gateway)["closed"] == {"timeout": 2}


async def test_the_time_for_a_response_begins_when_the_request_is_complete(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(6)
        writer.write(OK)

    async with (
        before(script, tmp_path, upstream={"timeouts": {"response": "2s"}}) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            await asyncio.sleep(0.5)
            await wire.send(b"x")
        assert (await wire.answer()).status == 200


async def test_a_body_that_stalls_breaks_off(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await reader.read()

    async with (
        before(script, tmp_path, upstream={"timeouts": {"body_idle": "200ms"}}) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(request())
        head = await wire.head()
        assert await wire.exactly(5) == b"hello"
        assert head.headers["content-length"] == "10"
        assert await wire.ended()
        [line] = await gateway.lines()
        assert line["aborted"] == "upstream_timeout"


# -- responses that are no HTTP ----------------------------------------------------------------

STATUS: Final = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(b"nonsense\r\n\r\n", id="no status line"),
        pytest.param(b"HTTP/1.1 99 Low\r\n\r\n", id="status too low"),
        pytest.param(b"HTTP/1.1 600 High\r\n\r\n", id="status too high"),
        pytest.param(b"HTTP/1.1 2000 Long\r\n\r\n", id="status too long"),
        pytest.param(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", id="another version"),
        pytest.param(b"ICY 200 OK\r\n\r\n", id="another protocol"),
        pytest.param(b"\r\n" + OK, id="an empty line before"),
        pytest.param(STATUS + b"A: b\nContent-Length: 0\r\n\r\n", id="bare line feed"),
        pytest.param(STATUS + b"A: b\rc\r\nContent-Length: 0\r\n\r\n", id="bare return"),
        pytest.param(STATUS + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n", id="folded line"),
        pytest.param(STATUS + b"A: b\x00\r\nContent-Length: 0\r\n\r\n", id="NUL"),
        pytest.param(STATUS + b"A: b\x1b\r\nContent-Length: 0\r\n\r\n", id="control character"),
        pytest.param(STATUS + b"A b: c\r\nContent-Length: 0\r\n\r\n", id="name with a space"),
        pytest.param(STATUS + b"A : c\r\nContent-Length: 0\r\n\r\n", id="space before the colon"),
        pytest.param(STATUS + b"Content-Length: x\r\n\r\n", id="malformed length"),
        pytest.param(STATUS + b"Content-Length: -1\r\n\r\n", id="negative length"),
        pytest.param(
            STATUS + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", id="unequal lengths"
        ),
        pytest.param(
            STATUS + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="length and coding",
        ),
        pytest.param(STATUS + b"Transfer-Encoding: gzip\r\n\r\n", id="unknown coding"),
        pytest.param(STATUS + b"Transfer-Encoding: chunked, gzip\r\n\r\n", id="misordered codings"),
        pytest.param(STATUS + b"A: " + b"b" * 300_000 + b"\r\n\r\n", id="huge field"),
        pytest.param(STATUS + b"A: b\r\n" * 60_000 + b"\r\n", id="many fields"),
        pytest.param(STATUS + b"A: " + b"b" * 300_000, id="head without an end"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20 + OK, id="too many hints"),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
            id="an upgrade that nobody asked for",
        ),
    ],
)
async def test_a_malformed_response_is_a_502(response: bytes, tmp_path: Path) -> None:
    async with before(answering(response), tmp_path) as (origin, gateway):
        answer = await ask(gateway.url, request())
        assert (answer.status, answer.error) == (502, "upstream_invalid")
        [note] = await gateway.lines("request failed")
        assert note["cause"]
        await ask(gateway.url, request())
        assert origin.connections == 2
