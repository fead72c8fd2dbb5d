"""Bodies that come just fast enough never to pause, and readers of that kind."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.integration.client import connected
from tests.integration.gateway import before
from tests.integration.origins import OK, answering

PATIENCE = {"timeouts": {"body_idle": "500ms"}, "limits": {"body_rate": "1KiB"}}


async def test_a_body_that_drips_is_given_up(tmp_path: Path) -> None:
    async with (
        before(answering(OK), tmp_path, server=PATIENCE) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        sent = 0

        async def drip() -> None:
            nonlocal sent
            while True:
                await wire.send(b"x" * 10)
                sent += 10
                await asyncio.sleep(0.1)

        dripping = asyncio.ensure_future(drip())
        try:
            answer = await wire.answer()
        finally:
            dripping.cancel()
        assert (answer.status, answer.error) == (408, "request_timeout")
        assert sent < 1000


async def test_a_body_that_keeps_the_rate_is_taken_however_long_it_takes(tmp_path: Path) -> None:
    # Long enough that a client on a busy machine doesn't seem to pause.
    patience = {**PATIENCE, "timeouts": {"body_idle": "3s"}}
    async with (
        before(answering(OK), tmp_path, server=patience) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 32000\r\n\r\n")
        for _ in range(16):
            await asyncio.sleep(0.25)
            await wire.send(b"x" * 2000)
        assert (await wire.answer()).status == 200
