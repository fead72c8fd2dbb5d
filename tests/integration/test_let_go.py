"""Answers that nobody is left to read: what was held for them is let go.

Their bodies are larger than what is read ahead, so that a connection which is forgotten is
paused, and stays in use for ever.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.client import ask, connected, request, until
from tests.integration.gateway import Gateway, before, running
from tests.integration.origins import OK, RawOrigin, answering

LARGE: Final = 1024 * 1024
CACHE: Final[dict[str, Any]] = {"cache": {}}


def large(status: bytes = b"200 OK", cache: bytes = b"no-store") -> bytes:
    head = b"HTTP/1.1 %b\r\nCache-Control: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (status, cache, LARGE) + bytes(LARGE)


async def free(gateway: Gateway) -> None:
    """Return once no connection to a service is in use."""
    await until(
        lambda: not any(row["in_use"] for row in gateway.app.upstreams()), "a free connection"
    )


async def test_a_refresh_that_brings_what_is_for_one_client_alone(tmp_path: Path) -> None:
    first = (
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=1, stale-while-revalidate=60\r\n"
        b"Age: 1\r\nContent-Length: 2\r\n\r\nok"
    )
    script = answering(first, large())
    async with before(script, tmp_path, policies=CACHE) as (origin, gateway):
        await ask(gateway.url, request())
        assert (await ask(gateway.url, request())).body == b"ok"
        await until(lambda: origin.bytes_received.count(b"GET /") == 2, "the refresh")
        await free(gateway)


@pytest.mark.parametrize("warm", [False, True], ids=["a new connection", "a kept one"])
async def test_whoever_began_a_fetch_has_gone(warm: bool, tmp_path: Path) -> None:
    asked, go = 0, asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/other" in head:
                writer.write(OK)
                continue
            asked += 1
            await go.wait()
            writer.write(large())

    async with before(script, tmp_path, policies=CACHE) as (_, gateway):
        if warm:
            await ask(gateway.url, request("GET", "/other"))
        async with connected(gateway.url) as first, connected(gateway.url) as second:
            await first.send(request())
            await until(lambda: asked == 1)
            await second.send(request())
            # Which has no way to show that it waits.
            await asyncio.sleep(0.1)
            first.abort()
            await gateway.lines(count=1 + warm)
            go.set()
            assert len((await second.answer()).body) == LARGE
            assert asked == 2
        await free(gateway)


class Other:
    """Another service that gets one request, and fails it or holds it."""

    def __init__(self, fails: bool) -> None:
        self.asked = 0
        self._fails = fails

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        if not self._fails:
            await reader.read()


@pytest.mark.parametrize("fails", [True, False], ids=["it fails", "the client leaves"])
async def test_an_answer_in_whose_place_another_service_is_asked(
    fails: bool, tmp_path: Path
) -> None:
    other = Other(fails)
    async with (
        RawOrigin(answering(large(b"503 Busy"))) as main,
        RawOrigin(other) as standby,
        running(
            {
                "upstreams": {
                    "main": {"endpoints": [main.url]},
                    "standby": {"endpoints": [standby.url]},
                },
                "routes": [{"name": "all", "upstream": "main"}],
                "policies": {**CACHE, "fallback": {"on": ["503"], "upstream": "standby"}},
            },
            tmp_path,
        ) as gateway,
        connected(gateway.url) as wire,
    ):
        await wire.send(request("GET", "/", None))
        await until(lambda: other.asked >= 1, "the other service")
        if fails:
            assert (await wire.answer()).status == 502
        else:
            wire.abort()
        await free(gateway)


async def test_a_body_is_read_for_one_try_at_a_time(tmp_path: Path) -> None:
    """Of two that read it at once, one would wait for ever."""
    tries = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        await reader.readuntil(b"\r\n\r\n")
        tries += 1
        if tries == 1:
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno")
            await reader.read()
        else:
            assert await reader.readexactly(10) == b"hellothere"
            writer.write(OK)

    policies = {"retry": {"attempts": 2, "on": ["503"]}}
    async with (
        before(script, tmp_path, policies=policies) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        await until(lambda: tries == 2, "the second try")
        await wire.send(b"there")
        assert (await wire.answer()).status == 200
        await until(lambda: not _sending(), "the end of both tries")


def _sending() -> list[str]:
    """What sends bodies to services."""
    return [repr(task) for task in asyncio.all_tasks() if "._pump" in repr(task)]


async def test_a_client_that_ended_its_side_amid_an_answer(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await go.wait()
        writer.write(b"there")

    async with (
        before(script, tmp_path, server={"half_close": "serve"}) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(request())
        head = await wire.head()
        assert head.status == 200
        assert await wire.exactly(5) == b"hello"
        wire.end()
        await asyncio.sleep(0.1)
        go.set()
        assert await wire.exactly(5) == b"there"
        # Nothing can follow, so the connection needn't wait to be idle for too long.
        assert await wire.ended()
