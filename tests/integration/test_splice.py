"""Large bodies that the kernel carries: they arrive whole or visibly don't, and cost nothing after.

Whether one is carried is seen by the calls of splice(2), which go to the real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import uvloop

from tests.integration.certificates import Authority
from tests.integration.client import CutShort, Wire, ask, connected, request, until
from tests.integration.gateway import Gateway, before, running
from tests.integration.origins import OK, RawOrigin

MEBIBYTE: Final = 1024 * 1024
BODY: Final = random.Random(9).randbytes(5 * MEBIBYTE)
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)


class Kernel:
    """Counts what is carried. carried: bytes that have left a pipe. fails: of the calls that
    would have them leave, from this one on. most: bytes that leave at once. flags: with which
    the last ones left."""

    def __init__(self) -> None:
        self.carried = 0
        self.calls = 0
        self.fails: int | None = None
        self.most = 2**31
        self.flags = 0
        self._splice = os.splice

    def splice(self, source: int, sink: int, count: int, *, flags: int) -> int:
        """In the place of `os.splice`."""
        leaves = os.readlink(f"/proc/self/fd/{source}").startswith("pipe:")
        if leaves:
            self.calls += 1
            if self.fails is not None and self.calls >= self.fails:
                raise OSError(errno.EINVAL, "not here")
            count = min(count, self.most)
        moved = self._splice(source, sink, count, flags=flags)
        if leaves:
            self.carried += moved
            self.flags = flags
        return moved


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    counting = Kernel()
    monkeypatch.setattr(os, "splice", counting.splice)
    return counting


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    """Those that were opened are closed, whatever happened."""
    # The first loop of a process opens a pipe for all.
    uvloop.new_event_loop().close()
    before_all = open_ones()
    yield
    assert open_ones() <= before_all


def open_ones() -> Counter[str]:
    """How many pipes and sockets there are."""
    kinds = Counter({"pipe": 0, "socket": 0})
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            kinds[os.readlink(f"/proc/self/fd/{descriptor}").partition(":")[0]] += 1
    return Counter({kind: kinds[kind] for kind in ("pipe", "socket")})


async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A service that sends all of it to every request."""
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.writelines((HEAD, BODY))
        await writer.drain()


def idle(gateway: Gateway) -> bool:
    """No connection to a service is in use."""
    return not any(row["in_use"] for row in gateway.app.upstreams())


async def test_a_body_arrives_and_its_connection_serves_on(tmp_path: Path, kernel: Kernel) -> None:
    async with (
        before(whole, tmp_path) as (origin, gateway),
        connected(gateway.url) as wire,
    ):
        for _ in range(3):
            await wire.send(request())
            answer = await wire.answer()
            assert answer.body == BODY
        assert origin.connections == 1
        assert kernel.carried > 2 * len(BODY), "most of it"
        lines = await gateway.lines(count=3)
        assert {line["bytes_out"] - len(BODY) for line in lines} <= set(range(1, 2000))
        assert len({line["bytes_out"] for line in lines}) == 1


async def test_what_was_asked_meanwhile_is_answered_behind_it(
    tmp_path: Path, kernel: Kernel
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(OK if b"/small" in head else HEAD + BODY)
            await writer.drain()

    async with (
        before(script, tmp_path) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(request() + request("GET", "/small") + request())
        assert (await wire.answer()).body == BODY
        assert (await wire.answer()).body == b"ok"
        assert (await wire.answer()).body == BODY
        assert kernel.carried > len(BODY)


async def test_many_at_once(tmp_path: Path, kernel: Kernel) -> None:
    async with before(whole, tmp_path) as (_, gateway):
        before_all = open_ones()["pipe"]
        answers = await asyncio.gather(*(ask(gateway.url, request()) for _ in range(24)))
        assert all(answer.body == BODY for answer in answers)
        assert open_ones()["pipe"] - before_all <= 2 * 16, "both ends of what is kept"
        assert kernel.carried > len(BODY)


async def test_an_old_client_gets_it_too(tmp_path: Path, kernel: Kernel) -> None:
    async with before(whole, tmp_path) as (_, gateway):
        got = await gateway.raw(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        assert got.partition(b"\r\n\r\n")[2] == BODY
        assert kernel.carried


async def test_over_unix_sockets(tmp_path: Path, kernel: Kernel) -> None:
    service, front = tmp_path / "service", tmp_path / "front"
    origin = await asyncio.start_unix_server(whole, service)
    config = {
        "server": {"listen": [f"unix:{front}"]},
        "upstreams": {"service": {"endpoints": [f"unix:{service}"]}},
    }
    async with origin, running(config, tmp_path) as gateway, connected(f"unix:{front}") as wire:
        for _ in range(2):
            await wire.send(request())
            assert (await wire.answer()).body == BODY
        assert kernel.carried > len(BODY)
        await until(lambda: idle(gateway))


async def test_what_a_socket_takes_only_part_of_goes_on(tmp_path: Path, kernel: Kernel) -> None:
    """Also at the end, when the service has nothing more to wait for."""
    kernel.most = 500
    upstream = {"timeouts": {"body_idle": "1h"}}
    async with before(whole, tmp_path, upstream=upstream) as (_, gateway):
        assert (await ask(gateway.url, request())).body == BODY
        assert kernel.carried
        assert not kernel.flags & os.SPLICE_F_MORE, "nothing holds back the end"


async def test_pieces_are_not_held_back(tmp_path: Path, kernel: Kernel) -> None:
    """However much is still to come, what has come is passed on."""
    more = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        for at in range(0, 3 * 1001, 1001):
            writer.write(BODY[at : at + 1001])
            await more.wait()
            more.clear()
        writer.write(BODY[3 * 1001 :])

    async with (
        before(script, tmp_path) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(request())
        await wire.head()
        for at in range(0, 3 * 1001, 1001):
            assert await wire.exactly(1001) == BODY[at : at + 1001]
            more.set()
        assert await wire.exactly(len(BODY) - 3 * 1001) == BODY[3 * 1001 :]
        assert kernel.carried


@asynccontextmanager
async def slow(gateway: Gateway) -> AsyncIterator[Wire]:
    """A client that reads little ahead."""
    async with connected(gateway.url, buffer=16 * 1024) as wire:
        yield wire


async def test_a_slow_client_gets_it_at_its_own_pace(tmp_path: Path, kernel: Kernel) -> None:
    """And holds up the service meanwhile, not the memory."""
    times = 8
    sent = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (times * len(BODY)))
        for _ in range(times):
            writer.write(BODY)
            await writer.drain()
            sent += 1

    # Less than the client takes for it.
    server = {"timeouts": {"body_idle": "200ms"}}
    upstream = {"timeouts": {"body_idle": "200ms"}}
    async with (
        before(script, tmp_path, server=server, upstream=upstream) as (_, gateway),
        slow(gateway) as wire,
    ):
        await wire.send(request())
        await wire.head()
        got = bytearray()
        for _ in range(times):
            await asyncio.sleep(0.1)
            got += await wire.exactly(len(BODY))
        assert got == BODY * times
        assert kernel.carried > len(BODY)
        [line] = await gateway.lines()
        assert "aborted" not in line


async def test_a_client_that_takes_nothing_is_broken_off(tmp_path: Path, kernel: Kernel) -> None:
    server = {"timeouts": {"body_idle": "300ms"}}
    async with (
        before(endless, tmp_path, server=server) as (_, gateway),
        slow(gateway) as wire,
    ):
        await wire.send(request())
        await wire.head()
        [line] = await gateway.lines()
        assert (line["status"], line["aborted"]) == (200, "slow_reader")
        await until(lambda: idle(gateway))
        assert kernel.carried


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A service that sends for as long as somebody takes it."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    while True:
        writer.write(BODY)
        await writer.drain()


async def test_a_client_that_leaves(tmp_path: Path, kernel: Kernel) -> None:
    gone = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await endless(reader, writer)
        finally:
            gone.set()

    async with (
        before(script, tmp_path) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(request())
        await wire.head()
        await wire.exactly(3 * MEBIBYTE)
        wire.abort()
        await asyncio.wait_for(gone.wait(), 60)
        [line] = await gateway.lines()
        assert (line["status"], line["aborted"]) == (200, "client_closed")
        await until(lambda: idle(gateway))
        assert kernel.carried


@pytest.mark.parametrize("size", [0, 1, 3 * MEBIBYTE])
@pytest.mark.parametrize("way", ["ends", "stalls"])
async def test_a_service_that_sends_less_than_it_said(
    way: str, size: int, tmp_path: Path, kernel: Kernel
) -> None:
    """Its client can tell that it isn't all."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + BODY[:size])
        await writer.drain()
        if way == "stalls":
            await reader.read()

    upstream = {"timeouts": {"body_idle": "500ms"}}
    async with (
        before(script, tmp_path, upstream=upstream) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(request())
        with pytest.raises(CutShort):
            await wire.answer()
        [line] = await gateway.lines()
        error = "upstream_closed" if way == "ends" else "upstream_timeout"
        assert (line["status"], line["error"]) == (200, error)
        assert bool(kernel.carried) == (size > 1)


async def test_a_service_that_sends_more_than_it_said(tmp_path: Path, kernel: Kernel) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + BODY + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await reader.read()

    async with (
        before(script, tmp_path) as (origin, gateway),
        connected(gateway.url) as wire,
    ):
        for connections in (1, 2):
            await wire.send(request())
            answer = await wire.answer()
            assert answer.body == BODY, "and nothing of what followed"
            assert origin.connections == connections
        assert kernel.carried


async def test_a_shutdown_amid_a_body(tmp_path: Path, kernel: Kernel) -> None:
    async with before(endless, tmp_path) as (_, gateway), connected(gateway.url) as wire:
        await wire.send(request())
        await wire.head()
        await wire.exactly(MEBIBYTE)
        await gateway.app.drain()
        with contextlib.suppress(CutShort):
            while await wire.some():
                pass
        [line] = await gateway.lines()
        assert line["aborted"]
        assert kernel.carried


@pytest.mark.parametrize("fails", [1, 2, 5])
async def test_where_the_kernel_refuses_it_is_sent_as_any_other(
    fails: int, tmp_path: Path, kernel: Kernel
) -> None:
    kernel.fails = fails
    async with (
        before(whole, tmp_path) as (origin, gateway),
        connected(gateway.url) as wire,
    ):
        for _ in range(2):
            await wire.send(request())
            assert (await wire.answer()).body == BODY
        assert kernel.calls >= fails
        assert origin.connections == 1


async def test_without_descriptors_it_is_sent_as_any_other(
    tmp_path: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: Any) -> tuple[int, int]:
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(os, "pipe2", none)
    async with before(whole, tmp_path) as (_, gateway):
        assert (await ask(gateway.url, request())).body == BODY
        assert not kernel.calls


async def test_what_somebody_has_to_see_is_not_carried(tmp_path: Path, kernel: Kernel) -> None:
    """Encrypted on either side, or to be stored."""
    authority = Authority(tmp_path)
    pair = authority.issue("DNS:service.test", "IP:127.0.0.1")
    server = {
        "listen": ["http://127.0.0.1:0", "https://127.0.0.1:0"],
        "tls": {"certificates": [pair.config]},
    }
    async with (
        RawOrigin(whole) as origin,
        running(
            {
                "server": server,
                "upstreams": {"service": {"endpoints": [origin.url]}},
                "routes": [
                    {"name": "stored", "match": {"path": "/stored/**"}, "upstream": "service",
                     "policies": {"cache": {"ttl": "1m"}}},
                    {"name": "all", "upstream": "service"},
                ],
            },
            tmp_path,
        ) as gateway,
    ):  # fmt: skip
        plain, encrypted = gateway.urls
        answer = await ask(plain, request("GET", "/stored/a"))
        assert answer.body == BODY
        async with connected(encrypted, tls=authority.client()) as wire:
            await wire.send(request())
            assert (await wire.answer()).body == BODY
        assert not kernel.calls
        assert (await ask(plain, request())).body == BODY
        assert kernel.calls
