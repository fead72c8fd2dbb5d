"""Tunnels that stay open: where they go, how many there may be, and that they hinder nobody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.integration.client import HANDSHAKE, Answer, Wire, ask, connected, request, until
from tests.integration.gateway import Gateway, running
from tests.integration.origins import ACCEPTED, OK, RawOrigin, Script


@contextlib.asynccontextmanager
async def before_tunnels(
    folder: Path, *, endpoints: int = 1, **pool: Any
) -> AsyncIterator[tuple[Gateway, list[int]]]:
    """Sidegate before services that accept tunnels, answer requests, and count the former."""
    counts = [0] * endpoints

    def script(place: int) -> Script:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"Upgrade: websocket" not in head:
                    writer.write(OK)
                    continue
                writer.write(ACCEPTED)
                counts[place] += 1
                await reader.read()
                return

        return serve

    async with contextlib.AsyncExitStack() as stack:
        origins = [
            await stack.enter_async_context(RawOrigin(script(place))) for place in range(endpoints)
        ]
        service = {"endpoints": [origin.url for origin in origins], "pool": pool}
        yield (
            await stack.enter_async_context(running({"upstreams": {"service": service}}, folder)),
            counts,
        )


async def shake_hands(stack: contextlib.AsyncExitStack, gateway: Gateway) -> tuple[Wire, Answer]:
    """Ask for a tunnel that stays open for as long as the stack."""
    wire = await stack.enter_async_context(connected(gateway.url))
    await wire.send(HANDSHAKE)
    return wire, await wire.answer()


async def test_idle_tunnels_keep_no_request_waiting(tmp_path: Path) -> None:
    async with (
        before_tunnels(tmp_path, size=1, overflow=0, acquire_timeout="100ms") as (gateway, _),
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(5):
            assert (await shake_hands(stack, gateway))[1].status == 101
            assert (await ask(gateway.url, request())).status == 200
        [pool] = gateway.app.upstreams()
        assert (pool["tunnels"], pool["in_use"], pool["idle"]) == (5, 0, 1)
        metrics = await gateway.metrics()
        assert [
            value
            for series, value in metrics.items()
            if series.startswith("sidegate_upstream_pool_connections")
            and 'state="tunnel"' in series
        ] == [5]


async def test_tunnels_have_a_bound_of_their_own(tmp_path: Path) -> None:
    async with (
        before_tunnels(tmp_path, tunnels=2) as (gateway, _),
        contextlib.AsyncExitStack() as stack,
    ):
        first, _ = await shake_hands(stack, gateway)
        assert (await shake_hands(stack, gateway))[1].status == 101
        wire, refused = await shake_hands(stack, gateway)
        assert (refused.status, refused.error) == (503, "tunnels_exhausted")
        await wire.send(request())
        assert (await wire.answer()).status == 200
        first.abort()
        await until(lambda: gateway.app.upstreams()[0]["tunnels"] == 1)
        assert (await shake_hands(stack, gateway))[1].status == 101


async def test_tunnels_are_spread_over_endpoints_and_fill_all_of_them(tmp_path: Path) -> None:
    async with (
        before_tunnels(tmp_path, endpoints=2, tunnels=4) as (gateway, counts),
        contextlib.AsyncExitStack() as stack,
    ):
        for number in range(1, 9):
            assert (await shake_hands(stack, gateway))[1].status == 101
            assert abs(counts[0] - counts[1]) == number % 2
        assert (await shake_hands(stack, gateway))[1].error == "tunnels_exhausted"
