"""Clients that end their side: gone, or only done with sending."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.client import connected, request, until
from tests.integration.gateway import before
from tests.integration.origins import Holding


def busy(state: list[dict[str, int]]) -> int:
    return sum(row["in_use"] for row in state)


@pytest.mark.parametrize("rule", ["probe", "cancel"])
async def test_a_client_that_is_gone_ends_what_is_done_for_it(rule: str, tmp_path: Path) -> None:
    held = Holding()
    async with before(held, tmp_path, server={"half_close": rule}) as (_, gateway):
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request())
        await until(lambda: held.asked == 1)
        assert busy(gateway.app.upstreams()) == 1
        # An ordinary close: the kernel says FIN, as it would for a half-close.
        writer.close()
        await writer.wait_closed()
        await until(lambda: busy(gateway.app.upstreams()) == 0)
        [line] = await gateway.lines()
        assert (line["status"], line.get("aborted")) == (0, "client_closed"), line
        assert not held.free.is_set(), "the service has not answered yet"


@pytest.mark.parametrize(("rule", "interim"), [("probe", [100]), ("serve", [])])
async def test_a_client_that_still_reads_gets_its_answer(
    rule: str, interim: list[int], tmp_path: Path
) -> None:
    held = Holding()
    async with (
        before(held, tmp_path, server={"half_close": rule}) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(request())
        await until(lambda: held.asked == 1)
        wire.end()
        await asyncio.sleep(0.1)
        held.free.set()
        answer = await wire.answer()
        assert (answer.status, answer.body) == (200, b"ok")
        assert [hint.status for hint in answer.interim] == interim


async def test_one_that_cannot_read_interim_responses_is_not_probed(tmp_path: Path) -> None:
    held = Holding()
    async with (
        before(held, tmp_path) as (_, gateway),
        connected(gateway.url) as wire,
    ):
        await wire.send(b"GET / HTTP/1.0\r\n\r\n")
        await until(lambda: held.asked == 1)
        wire.end()
        await asyncio.sleep(0.1)
        held.free.set()
        answer = await wire.answer()
        assert (answer.status, answer.interim) == (200, [])
