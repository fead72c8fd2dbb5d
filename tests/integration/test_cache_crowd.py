"""A crowd that asks for one thing which isn't stored yet."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Final, cast

from tests.integration.client import ask, request, until
from tests.integration.origins import Holding, RawOrigin
from tests.integration.process import process

COUNT: Final = 10_000
# Connections that are opened at once, which is fewer than wait to be accepted.
STEP: Final = 500
ANSWER: Final = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\n\r\nhello"


class Member(asyncio.Protocol):
    """One of many connections, with one request. answers: to which each adds what it got."""

    transport: asyncio.Transport

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = answers
        self._got = b""
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(request())

    def connection_lost(self, _: Exception | None) -> None:
        self.gone = True

    def data_received(self, data: bytes) -> None:
        self._got += data
        if self._got.endswith(b"hello"):
            self._answers.append(self._got.partition(b"\r\n")[0])


async def test_ten_thousand_misses_reach_the_service_once(tmp_path: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 3 * COUNT), most))
    holding = Holding()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        holding.asked += 1
        await holding.free.wait()
        writer.write(ANSWER)

    loop = asyncio.get_running_loop()
    answers: list[bytes] = []
    crowd: list[Member] = []
    async with RawOrigin(script) as origin:
        config = {
            "server": {"limits": {"connections": COUNT + 10}},
            "upstreams": {"app": {"endpoints": [origin.url], "timeouts": {"response": "120s"}}},
            "policies": {"cache": {"coalesce": {"timeout": "120s"}}},
        }
        with process(config, tmp_path) as gateway:
            for _ in range(COUNT // STEP):
                opened = await asyncio.gather(*(
                    loop.create_connection(lambda: Member(answers), "127.0.0.1", gateway.port)
                    for _ in range(STEP)
                ))  # fmt: skip
                crowd += [member for _, member in opened]
            there = b"\nsidegate_requests_in_flight %.1f\n" % COUNT
            while there not in (await ask(gateway.admin, request("GET", "/metrics"))).body:
                pass
            holding.free.set()
            await until(lambda: len(answers) == COUNT, "all answers")
            assert holding.asked == 1
            assert set(answers) == {b"HTTP/1.1 200 OK"}
            for member in crowd:
                member.transport.abort()
            await until(lambda: all(member.gone for member in crowd))
