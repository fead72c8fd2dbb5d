"""Connections to the service: reused when sound, never when in doubt, and never too many."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from proxy.config.upstream import Pool as PoolOptions
from proxy.config.upstream import UpstreamTimeouts, UpstreamTls
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.endpoint import make_endpoint, open_connection
from proxy.upstream.pool import Pool
from proxy.wire.deadlines import Deadlines
from proxy.wire.turn import Turn
from tests.integration.client import TIMEOUT, ask, connected, request, until
from tests.integration.gateway import Gateway, before
from tests.integration.origins import OK, Holding, RawOrigin, Script, answering

EMPTY: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"


def pool(gateway: Gateway) -> dict[str, Any]:
    """The state of the only pool, as the admin API tells it."""
    [state] = gateway.app.upstreams()
    return state


# -- size --------------------------------------------------------------------------------------


async def test_one_connection_serves_one_request_after_another(tmp_path: Path) -> None:
    async with before(answering(OK), tmp_path) as (origin, gateway):
        for _ in range(20):
            assert (await ask(gateway.url, request())).status == 200
            assert (await ask(gateway.url, request("POST", "/", b"x"))).status == 200
        assert origin.connections == 1
        assert pool(gateway)["opened"] == 1


async def test_beyond_size_and_overflow_requests_wait_and_then_fail(tmp_path: Path) -> None:
    script = Holding()
    options = {"size": 1, "overflow": 1, "acquire_timeout": "200ms"}
    async with before(script, tmp_path, upstream={"pool": options}) as (origin, gateway):
        async with asyncio.TaskGroup() as group:
            served = [group.create_task(ask(gateway.url, request())) for _ in range(2)]
            await until(lambda: script.asked == 2)
            refused = await ask(gateway.url, request())
            assert (refused.status, refused.error) == (503, "pool_exhausted")
            assert int(refused.headers["retry-after"]) >= 1
            assert origin.connections == 2
            script.free.set()
        assert [task.result().status for task in served] == [200, 200]
        # The one of overflow is closed once the rush is over, the other kept.
        await until(lambda: pool(gateway)["in_use"] == 0)
        assert pool(gateway)["idle"] == 2
        await until(lambda: pool(gateway)["idle"] == 1)
        assert pool(gateway)["closed"] == {"overflow": 1}


async def test_those_who_wait_are_served_in_order(tmp_path: Path) -> None:
    script = Holding()
    options = {"size": 1, "overflow": 0, "acquire_timeout": "20s"}
    async with before(script, tmp_path, upstream={"pool": options}) as (origin, gateway):
        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(ask(gateway.url, request("GET", f"/{number}")))
                if number == 0:
                    await until(lambda: script.asked == 1)
                else:
                    await until(lambda want=number: pool(gateway)["waiting"] == want)
            script.free.set()
        order = [piece.split(b" ")[1] for piece in origin.bytes_received.split(b"GET")[1:]]
        assert order == [b"/%d" % number for number in range(6)]
        assert origin.connections == 1


async def test_a_client_that_leaves_gives_up_its_place(tmp_path: Path) -> None:
    script = Holding()
    options = {"size": 1, "overflow": 0, "acquire_timeout": "20s"}
    async with before(script, tmp_path, upstream={"pool": options}) as (origin, gateway):
        async with asyncio.TaskGroup() as group:
            first = group.create_task(ask(gateway.url, request()))
            await until(lambda: script.asked == 1)
            async with connected(gateway.url) as leaving:
                await leaving.send(request("GET", "/never"))
                await until(lambda: pool(gateway)["waiting"] == 1)
                leaving.abort()
            await until(lambda: pool(gateway)["waiting"] == 0)
            script.free.set()
        assert first.result().status == 200
        assert (await ask(gateway.url, request())).status == 200
        assert b"/never" not in origin.bytes_received
        assert origin.connections == 1


# -- age ---------------------------------------------------------------------------------------


async def test_one_that_is_given_up_as_it_opens_leaves_nothing_behind() -> None:
    """In whichever turn of the event loop that is: what is swept must not grow for ever."""
    loop = asyncio.get_running_loop()
    deadlines, turn = Deadlines(loop.time), Turn(loop)
    given_up = 0

    async def open_(owner: Pool) -> UpstreamConnection:
        return await open_connection(endpoint, owner, loop, loop.time, deadlines, turn)

    async with RawOrigin(answering(OK)) as origin:
        endpoint = make_endpoint(origin.url, UpstreamTls(), UpstreamTimeouts())
        owner = Pool("service", origin.url, PoolOptions(), open_, loop.time, loop)
        while True:
            opening = loop.create_task(owner.get(careful=False))
            for _ in range(given_up):
                await asyncio.sleep(0)
            if opening.done():
                break
            opening.cancel()
            await asyncio.wait([opening])
            given_up += 1
        assert given_up > 1
        (await opening).close("tested")
        await until(lambda: len(deadlines) == 0)
        assert (owner.in_use, owner.idle) == (0, 0)


async def test_an_idle_connection_is_closed_in_time(tmp_path: Path) -> None:
    async with before(answering(OK), tmp_path, upstream={"pool": {"max_idle": "100ms"}}) as (
        origin,
        gateway,
    ):
        await ask(gateway.url, request())
        await until(lambda: pool(gateway)["idle"] == 0)
        assert pool(gateway)["closed"] == {"idle": 1}
        await ask(gateway.url, request())
        assert origin.connections == 2


async def test_an_old_connection_is_not_used_again(tmp_path: Path) -> None:
    async with before(answering(OK), tmp_path, upstream={"pool": {"max_lifetime": "100ms"}}) as (
        origin,
        gateway,
    ):
        async with asyncio.timeout(TIMEOUT):
            while origin.connections < 3:
                assert (await ask(gateway.url, request())).status == 200
                await asyncio.sleep(0.01)
        assert pool(gateway)["closed"]["lifetime"] >= 2


async def test_the_service_says_how_long_it_stays(tmp_path: Path) -> None:
    head = EMPTY + b"Keep-Alive: timeout=1\r\n\r\n"
    async with before(answering(head), tmp_path) as (_, gateway):
        await ask(gateway.url, request())
        assert pool(gateway)["idle"] == 1
        await until(lambda: pool(gateway)["idle"] == 0)


# -- connections that are not sound ------------------------------------------------------------


def hanging_up(after: int) -> Script:
    """A script that closes each connection some time after so many answers."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(after):
            head = await reader.readuntil(b"\r\n\r\n")
            if b"POST" in head:
                await reader.readexactly(1)
            writer.write(OK)

    return script


async def test_a_connection_that_the_service_closed_is_never_picked(tmp_path: Path) -> None:
    """Even for a POST in the very moment, which must not be sent twice."""
    async with before(hanging_up(1), tmp_path) as (origin, gateway):
        async with connected(gateway.url) as wire:
            for number in range(40):
                await wire.send(request("POST", f"/{number}", b"x"))
                assert (await wire.answer()).status == 200, number
        for number in range(40):
            assert origin.bytes_received.count(b"POST /%d HTTP" % number) == 1


def dying() -> tuple[Script, list[bytes]]:
    """A script that answers once on each connection, takes another request, and hangs up.

    Also what it was asked when it hung up.
    """
    lost: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        lost.append((await reader.readuntil(b"\r\n\r\n")).partition(b" ")[0])

    return script, lost


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
async def test_what_can_be_repeated_is_asked_once_more(method: str, tmp_path: Path) -> None:
    script, lost = dying()
    async with before(script, tmp_path) as (origin, gateway):
        await ask(gateway.url, request())
        answer = await ask(gateway.url, request(method, "/again"))
        assert answer.status == 200
        assert lost == [method.encode()]
        assert origin.bytes_received.count(b" /again ") == 2
        assert pool(gateway)["retries"] == {"stale_connection": 1}


@pytest.mark.parametrize(
    "data",
    [
        request("POST", "/once", b"x"),
        request("POST", "/once"),
        request("PATCH", "/once", b"x"),
        b"PUT /once HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_what_can_not_be_repeated_is_sent_once(data: bytes, tmp_path: Path) -> None:
    script, _ = dying()
    async with before(script, tmp_path) as (origin, gateway):
        await ask(gateway.url, request())
        answer = await ask(gateway.url, data)
        assert (answer.status, answer.error) == (502, "upstream_closed")
        assert origin.bytes_received.count(b" /once ") == 1
        assert pool(gateway)["retries"] == {}


async def test_a_new_connection_that_dies_is_no_reason_to_ask_again(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with before(script, tmp_path) as (origin, gateway):
        answer = await ask(gateway.url, request())
        assert (answer.status, answer.error) == (502, "upstream_closed")
        assert origin.connections == 1


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(OK + b"stray", id="stray bytes"),
        pytest.param(OK + OK, id="a second response"),
        pytest.param(EMPTY + b"Connection: close\r\n\r\n", id="close"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", id="HTTP/1.0"),
    ],
)
async def test_a_connection_in_doubt_is_not_used_again(response: bytes, tmp_path: Path) -> None:
    async with before(answering(response), tmp_path) as (origin, gateway):
        for number in range(1, 4):
            answer = await ask(gateway.url, request())
            assert answer.status == 200
            assert answer.body in (b"ok", b"")
            assert origin.connections == number


async def test_bytes_that_come_while_idle_spoil_a_connection(tmp_path: Path) -> None:
    spoil = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await spoil.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await reader.read()

    async with before(script, tmp_path) as (_, gateway):
        assert (await ask(gateway.url, request())).body == b"ok"
        spoil.set()
        await until(lambda: pool(gateway)["idle"] == 0)
        assert pool(gateway)["closed"] == {"stray_bytes": 1}
        assert (await ask(gateway.url, request())).body == b"ok"
