"""SIGTERM to the real process: what was begun is finished, and nothing new is begun."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.client import TIMEOUT, CutShort, ask, connected, request, until
from tests.integration.gateway import completed
from tests.integration.origins import OK, RawOrigin
from tests.integration.process import Process, process


class Service:
    """Answers `/slow` once it is let go, and anything else at once."""

    def __init__(self) -> None:
        self.busy = 0
        self.free = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/slow" in head:
                self.busy += 1
                await self.free.wait()
            writer.write(OK)


STALE = (
    b"HTTP/1.1 200 OK\r\nCache-Control: max-age=0, stale-while-revalidate=60\r\n"
    b"Content-Length: 2\r\n\r\nok"
)


def config(origin: RawOrigin, **drain: str) -> dict[str, Any]:
    return {"upstreams": {"service": origin.url}, "server": {"drain": drain}}


async def ended(sidegate: Process) -> int:
    """The exit code, while this loop goes on serving."""
    return await asyncio.to_thread(sidegate.wait)


async def accepts(url: str) -> bool:
    """Whether a new connection is accepted."""
    try:
        async with connected(url):
            return True
    except ConnectionRefusedError:
        return False


async def test_requests_are_finished_and_the_exit_is_clean(tmp_path: Path) -> None:
    service = Service()
    async with RawOrigin(service) as origin:
        with process(config(origin, timeout="20s"), tmp_path) as sidegate:
            async with contextlib.AsyncExitStack() as stack:
                idle, fresh, busy = [
                    await stack.enter_async_context(connected(sidegate.url)) for _ in range(3)
                ]
                await idle.send(request())
                assert (await idle.answer()).status == 200
                await busy.send(request("GET", "/slow") + request("GET", "/next"))
                await until(lambda: service.busy == 1)
                sidegate.tell(signal.SIGTERM)
                assert await idle.ended()
                assert await fresh.ended()
                assert not await accepts(sidegate.url)
                ready = await ask(sidegate.admin, request("GET", "/readyz"))
                assert (ready.status, ready.body) == (503, b"not ready: draining\n")
                alive = await ask(sidegate.admin, request("GET", "/healthz"))
                assert alive.status == 200, "or Kubernetes would kill it amid its work"
                service.free.set()
                answer = await busy.answer()
                assert (answer.status, answer.body) == (200, b"ok")
                assert answer.headers["connection"] == "close"
                assert await busy.ended()
            assert await ended(sidegate) == 0
            assert sidegate.lines("stopped")
            assert len(sidegate.lines("request", 2)) == 2
    assert b"/next" not in origin.bytes_received


async def test_readiness_fails_before_listeners_close(tmp_path: Path) -> None:
    """Load balancers get time to notice, and what they still send is served."""
    async with RawOrigin(Service()) as origin:
        with process(config(origin, delay="3s"), tmp_path) as sidegate:
            ready = await ask(sidegate.admin, request("GET", "/readyz"))
            assert ready.status == 200
            sidegate.tell(signal.SIGTERM)
            await asyncio.to_thread(sidegate.lines, "draining")
            ready = await ask(sidegate.admin, request("GET", "/readyz"))
            assert ready.status == 503
            assert (await ask(sidegate.url, request())).status == 200
            assert await ended(sidegate) == 0
            assert not await accepts(sidegate.url)


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_goes_on_in_the_background_is_finished_as_well(
    workers: int, tmp_path: Path
) -> None:
    """A refresh, for which no connection of a client waits."""
    asked = 0
    free = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while True:
            await reader.readuntil(b"\r\n\r\n")
            asked += 1
            if asked > 1:
                await free.wait()
            writer.write(STALE)

    async with RawOrigin(script) as origin:
        settings = config(origin, timeout="20s")
        settings["server"]["workers"] = workers
        with process({**settings, "policies": {"cache": {}}}, tmp_path) as sidegate:
            async with connected(sidegate.url) as wire:
                # By one connection, since each worker has a memory of its own.
                for _ in range(2):
                    await wire.send(request())
                    assert (await wire.answer()).status == 200
            await until(lambda: asked == 2)
            sidegate.tell(signal.SIGTERM)
            await asyncio.to_thread(sidegate.lines, "draining")
            await asyncio.sleep(0.5)
            assert sidegate.running
            free.set()
            assert await ended(sidegate) == 0


async def test_what_takes_too_long_is_broken_off(tmp_path: Path) -> None:
    service = Service()
    async with RawOrigin(service) as origin:
        with process(config(origin, timeout="300ms"), tmp_path) as sidegate:
            async with connected(sidegate.url) as busy:
                await busy.send(request("GET", "/slow"))
                await until(lambda: service.busy == 1)
                sidegate.tell(signal.SIGTERM)
                with pytest.raises(CutShort):
                    await busy.answer()
            assert await ended(sidegate) == 0
            [told] = sidegate.lines("connections broken off at the end of draining")
            assert told["connections"] == 1
            [line] = sidegate.lines("request")
            assert (line["status"], line["aborted"]) == (0, "draining")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_it_at_once(second: signal.Signals, tmp_path: Path) -> None:
    service = Service()
    async with RawOrigin(service) as origin:
        with process(config(origin, timeout="60s"), tmp_path) as sidegate:
            async with connected(sidegate.url) as busy:
                await busy.send(request("GET", "/slow"))
                await until(lambda: service.busy == 1)
                sidegate.tell(signal.SIGTERM)
                await asyncio.to_thread(sidegate.lines, "draining")
                sidegate.tell(second)
                async with asyncio.timeout(TIMEOUT):
                    assert await ended(sidegate) != 0
            text = sidegate.file.with_suffix(".log").read_text(encoding="utf-8")
            assert "Traceback" not in text
            assert "exception" not in text


async def test_signals_that_come_early_or_late_do_no_harm(tmp_path: Path) -> None:
    """Before anything runs they ask for nothing, and what they began ends before the rest."""
    text = yaml.safe_dump(completed({"upstreams": {"service": "http://127.0.0.1:1"}}))
    file, number = tmp_path / "sidegate.yaml", tmp_path / "number"
    os.mkfifo(file)

    def write_amid(*signals: signal.Signals) -> None:
        """Whoever reads the file waits for it, and gets signals while it does."""
        with file.open("w", encoding="utf-8") as stream:
            for each in signals:
                os.kill(int(number.read_text(encoding="ascii")), each)
            stream.write(text)

    early = asyncio.get_running_loop().run_in_executor(
        None, write_amid, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2
    )
    command = ["sh", "-c", f'echo $$ >{number}; exec "$@"', "sh", sys.executable, "-m", "proxy"]
    with process(None, tmp_path, command=command) as sidegate:
        await early
        sidegate.tell(signal.SIGHUP)
        await asyncio.to_thread(write_amid, signal.SIGHUP, signal.SIGTERM)
        assert await ended(sidegate) == 0
        log = [json.loads(line)["event"] for line in sidegate.log.read_text("utf-8").splitlines()]
    assert log == ["ready", "configuration reloaded", "draining", "stopped"]


async def test_nothing_to_finish(tmp_path: Path) -> None:
    async with RawOrigin(Service()) as origin:
        with process(config(origin), tmp_path) as sidegate:
            sidegate.tell(signal.SIGINT)
            assert await ended(sidegate) == 0


async def test_connections_that_wait_to_be_accepted_are_served(tmp_path: Path) -> None:
    """The listener closes without taking them down with it."""
    async with RawOrigin(Service()) as origin:
        with process(config(origin, timeout="20s"), tmp_path) as sidegate:
            sidegate.tell(signal.SIGSTOP)
            async with contextlib.AsyncExitStack() as stack:
                wires = [
                    await stack.enter_async_context(connected(sidegate.url)) for _ in range(20)
                ]
                for wire in wires:
                    await wire.send(request())
                sidegate.tell(signal.SIGTERM)
                sidegate.tell(signal.SIGCONT)
                answers = [await wire.answer() for wire in wires]
            assert {answer.status for answer in answers} == {200}
            assert await ended(sidegate) == 0


async def test_responses_say_that_it_is_time_to_go(tmp_path: Path) -> None:
    """While listeners are still open, so that clients that keep connections leave in time."""
    async with RawOrigin(Service()) as origin:
        with process(config(origin, delay="3s"), tmp_path) as sidegate:
            async with connected(sidegate.url) as wire:
                await wire.send(request())
                assert "connection" not in (await wire.answer()).headers
                sidegate.tell(signal.SIGTERM)
                await asyncio.to_thread(sidegate.lines, "draining")
                await wire.send(request())
                assert (await wire.answer()).headers["connection"] == "close"
                assert await wire.ended()
            assert await ended(sidegate) == 0
