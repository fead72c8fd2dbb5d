"""Many clients that do little: slow heads, slow bodies, silence. What they cost, in figures.

A hundred of each kind are held at once against a process of its own, and an honest client
is served meanwhile. The figures are printed; what is asserted is that everyone is ended, that
nobody else notices, and bounds on memory that a leak would break.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from tests.integration.client import CutShort, Wire, connected
from tests.integration.origins import OK, RawOrigin, answering
from tests.integration.process import Process, process
from tests.security.payloads import table

CROWD: Final = 100
PACE: Final = 0.05
SHORT: Final = {"head": "2s", "idle": "2s", "body_idle": "2s"}
HEAD: Final = b"GET /slow HTTP/1.1\r\nHost: a.test\r\n"
POST: Final = b"POST /slow HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n"


async def _drip(wire: Wire) -> None:
    """A head, a byte at a time, that never ends."""
    for byte in HEAD + b"X-Slow: " + b"x" * 1000:
        await wire.send(bytes([byte]))
        await asyncio.sleep(PACE)


async def _stall(wire: Wire) -> None:
    """A body of which only the beginning comes."""
    await wire.send(POST + b"x" * 10)
    await asyncio.sleep(60)


async def _ask_and_stay(wire: Wire) -> None:
    """A connection that was used once, and is held."""
    await wire.send(HEAD + b"\r\n")
    await wire.answer()


async def _say_nothing(wire: Wire) -> None:
    await asyncio.sleep(60)


CROWDS: Final[dict[str, Callable[[Wire], Awaitable[None]]]] = {
    "heads that drip": _drip,
    "bodies that stall": _stall,
    "connections kept": _ask_and_stay,
    "silence": _say_nothing,
}


async def _held(url: str, behave: Callable[[Wire], Awaitable[None]]) -> tuple[float, int]:
    """Seconds until the proxy ended it, and the status that it was told; 0 for none."""
    loop = asyncio.get_running_loop()
    async with connected(url) as wire:
        began = loop.time()
        acting = asyncio.ensure_future(behave(wire))
        status = 0
        try:
            # Whoever reads his own answer first has no more to read here.
            if behave is _ask_and_stay:
                await acting
            with contextlib.suppress(CutShort):
                status = (await wire.answer()).status
                await wire.ended()
        finally:
            acting.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError, CutShort):
                await acting
        return loop.time() - began, status


@contextlib.asynccontextmanager
async def _an_honest_client(url: str) -> AsyncIterator[list[float]]:
    """Somebody who asks all the while; how long each answer took, in milliseconds."""
    times: list[float] = []

    async def ask() -> None:
        async with connected(url) as wire:
            while True:
                # The loop's own clock counts whole milliseconds.
                began = time.perf_counter()
                await wire.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
                assert (await wire.answer()).status == 200
                times.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(0.02)

    asking = asyncio.ensure_future(ask())
    try:
        yield times
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking


async def _crowd(proxy: Process, name: str) -> tuple[Any, ...]:
    before = proxy.rss
    async with _an_honest_client(proxy.url) as times:
        ended = await asyncio.gather(*(_held(proxy.url, CROWDS[name]) for _ in range(CROWD)))
    memory = max(0, proxy.rss - before) / CROWD / 1024
    statuses = sorted({status for _, status in ended if status})
    assert len(times) > 10
    return (
        name,
        CROWD,
        f"{statistics.median(seconds for seconds, _ in ended):.1f} s",
        "/".join(map(str, statuses)) or "closed",
        f"{memory:.1f} KiB",
        f"{statistics.median(times):.1f} ms",
    )


async def test_crowds_are_ended_and_nobody_else_notices(
    tmp_path: Path, show: Callable[[str], None]
) -> None:
    rows: list[tuple[Any, ...]] = [
        ("crowd", "clients", "ended after", "told", "memory each", "honest client waits")
    ]
    async with RawOrigin(answering(OK), record=False) as origin:
        config = {"upstreams": {"app": origin.url}, "server": {"timeouts": SHORT}}
        config["upstreams"]["app"] = {"endpoints": [origin.url], "pool": {"size": 256}}  # type: ignore[index]
        with process(config, tmp_path) as proxy:
            for name in CROWDS:
                rows.append(await _crowd(proxy, name))
    show(table("Crowds against one process, with times of 2 s", rows))
    told = {row[0]: row[3] for row in rows[1:]}
    assert told["heads that drip"] == told["bodies that stall"] == "408"
    assert told["connections kept"] == told["silence"] == "closed"
    for row in rows[1:]:
        assert float(row[4].split()[0]) < 64, row
