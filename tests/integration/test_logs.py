"""Where log lines go, which there are, and that none is lost when a process has to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.integration.client import ask, connected, request, until
from tests.integration.gateway import before, running
from tests.integration.origins import OK
from tests.integration.process import Process, process

ROUTES: Final = [
    {"name": "api", "match": {"path": "/api"}, "policies": {"respond": 204}},
    {"name": "rest", "policies": {"respond": 200}},
]


def logging(**options: Any) -> dict[str, Any]:
    return {"telemetry": {"log": options}, "routes": ROUTES}


async def change(admin: str, **body: Any) -> dict[str, Any]:
    """Ask for another level, as an operator does."""
    async with aiohttp.ClientSession() as session, session.post(admin + "/log", json=body) as page:
        told: dict[str, Any] = await page.json()
        assert page.status == 200, told
        return told


async def shown(admin: str, method: str = "GET") -> dict[str, Any]:
    """What `/log` tells; DELETE ends all exceptions."""
    page = await ask(admin, request(method, "/log"))
    told: dict[str, Any] = page.json
    return told


def has_open(pid: int, file: Path) -> bool:
    """Whether a process has opened a file."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # Some other may have been closed by now.
        with contextlib.suppress(OSError):
            if link.readlink() == file:
                return True
    return False


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_file_is_rotated_under_a_running_proxy(workers: int, tmp_path: Path) -> None:
    file, rotated = tmp_path / "sidegate.log", tmp_path / "sidegate.log.1"
    config = {**logging(file=str(file)), "server": {"workers": workers}}
    with process(config, tmp_path) as sidegate:
        await ask(sidegate.url, request("GET", "/first"))
        sidegate.lines("request")
        serving = sidegate.lines("worker serves", workers) if workers > 1 else []
        file.rename(rotated)
        sidegate.tell(signal.SIGUSR1)
        for pid in (sidegate.pid, *(line["pid"] for line in serving)):
            await until(lambda pid=pid: has_open(pid, file), "the new file")
        for number in range(8):
            await ask(sidegate.url, request("GET", f"/later/{number}"))
        lines = sidegate.lines("request", 8)
        sidegate.tell(signal.SIGTERM)
        assert sidegate.wait() == 0
    assert {line["path"] for line in lines} == {f"/later/{number}" for number in range(8)}
    assert '"/first"' in rotated.read_text(encoding="utf-8")
    assert '"/later' not in rotated.read_text(encoding="utf-8")


async def test_a_file_that_can_not_be_written_is_a_mistake_of_the_configuration(
    tmp_path: Path,
) -> None:
    good = logging()
    async with running(good, tmp_path) as gateway:
        gateway.rewrite(logging(file=str(tmp_path / "missing" / "a.log")))
        status, told = await gateway.reload()
        assert status == 409
        assert "telemetry.log.file: can't append to" in told["problems"][0]
        gateway.rewrite(logging(file=str(tmp_path / "a.log")))
        assert (await gateway.reload())[0] == 200
        await ask(gateway.url, request("GET", "/api"))
    assert '"path":"/api"' in (tmp_path / "a.log").read_text(encoding="utf-8")


async def unwritten(sidegate: Process) -> str:
    """The path of a request that was answered, and whose line waits to be written."""
    for number in range(50):
        path = f"/last/{number}"
        await ask(sidegate.url, request("GET", path))
        # The line is collected a moment after the answer, and written a fifth of a second later.
        await asyncio.sleep(0.02)
        if path not in sidegate.log.read_text(encoding="utf-8"):
            return path
    raise AssertionError("every line was written at once")


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGSEGV, 1), (signal.SIGSEGV, 2), (signal.SIGQUIT, 1)]
)
async def test_a_process_that_has_to_end_at_once_writes_its_lines(
    number: signal.Signals, workers: int, tmp_path: Path
) -> None:
    with process({**logging(), "server": {"workers": workers}}, tmp_path) as sidegate:
        serving = sidegate.lines("worker serves", workers) if workers > 1 else []
        pids = [line["pid"] for line in serving] or [sidegate.pid]
        path = await unwritten(sidegate)
        for pid in pids:
            os.kill(pid, number)
        if workers == 1:
            assert sidegate.wait() == -number
        await until(lambda: path in sidegate.log.read_text(encoding="utf-8"), "the line")
        await until(
            lambda: "most recent call first" in sidegate.log.read_text(encoding="utf-8"),
            "where it stood",
        )


async def test_a_level_is_changed_for_a_route_and_for_a_while(tmp_path: Path) -> None:
    async with running(logging(level="warning"), tmp_path) as gateway:
        await ask(gateway.url, request("GET", "/api"))
        told = await change(gateway.admin, level="debug", route="api", **{"for": "1h"})
        assert told["configured"] == "warning"
        await ask(gateway.url, request("GET", "/api?second", x_tenant="blue"))
        await ask(gateway.url, request("GET", "/other"))
        [line] = await gateway.lines()
        [detail] = await gateway.lines("request in detail")
        assert line["query"] == "second"
        assert detail["fields"]["x-tenant"] == "blue"
        assert detail["request_id"] == line["request_id"]
        told = await change(gateway.admin, level="debug", route="api", **{"for": "100ms"})
        await asyncio.sleep(0.2)
        await ask(gateway.url, request("GET", "/api?third"))
        assert (await shown(gateway.admin))["exceptions"] == []
        assert len(await gateway.lines()) == 1
        await change(gateway.admin, level="info")
        assert len((await shown(gateway.admin))["exceptions"]) == 1
        assert (await shown(gateway.admin, "DELETE"))["exceptions"] == []


async def test_all_workers_heed_a_level_and_so_do_their_replacements(tmp_path: Path) -> None:
    config = logging(sample={"ratio": 0.0, "slow": "1h", "status": 600})
    with process({**config, "server": {"workers": 2}}, tmp_path) as sidegate:
        await ask_many(sidegate, 20)
        await change(sidegate.admin, level="info", client="127.0.0.0/8")
        await ask_many(sidegate, 20)
        assert len(sidegate.lines("request", 20)) == 20, "those before were left out"
        [first, *_] = (line["pid"] for line in sidegate.lines("worker serves", 2))
        os.kill(first, signal.SIGKILL)
        sidegate.lines("worker serves", 3)
        await ask_many(sidegate, 20)
        assert len(sidegate.lines("request", 40)) == 40


async def ask_many(sidegate: Process, count: int) -> None:
    for number in range(count):
        await ask(sidegate.url, request("GET", f"/{number}"))


async def test_a_sample_of_lines(tmp_path: Path) -> None:
    config = logging(sample={"ratio": 0.0, "slow": "1h", "status": 400})
    config["routes"] = [{"name": "api", "match": {"path": "/api"}, "policies": {"respond": 204}}]
    async with running(config, tmp_path) as gateway:
        for path in ("/api", "/missing", "/api"):
            await ask(gateway.url, request("GET", path))
        [line] = await gateway.lines()
        metrics = await gateway.metrics()
    assert line["path"] == "/missing"
    counted = [value for series, value in metrics.items() if "sidegate_requests_total" in series]
    assert sum(counted) == 3, "what isn't written is counted all the same"


@pytest.mark.parametrize("way", ["an answer", "a closed connection", "no answer in time"])
async def test_what_is_told_of_a_service_names_the_request_that_showed_it(
    way: str, tmp_path: Path
) -> None:
    """Others are answered in between, on connections of the same process."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/ill" not in head:
                writer.write(OK)
                continue
            await asyncio.sleep(0.2)
            if way == "an answer":
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            elif way == "a closed connection":
                return

    upstream = {
        "breaker": {"consecutive": 1, "rest": "50ms", "probes": 1},
        "timeouts": {"response": "500ms"},
    }
    async with before(script, tmp_path, upstream=upstream) as (_, gateway):
        await ask(gateway.url, request("GET", "/before"))
        async with connected(gateway.url) as wire:
            # It waits for nothing but its answer, on a connection that another one opened.
            await wire.send(request("POST", "/ill", b"x"))
            await asyncio.sleep(0.05)
            await ask(gateway.url, request("GET", "/meanwhile"))
            await wire.answer()
        ids = {line["path"]: line["request_id"] for line in await gateway.lines(count=3)}
        [opened] = await gateway.lines("circuit breaker opened")
        assert opened["request_id"] == ids["/ill"]
