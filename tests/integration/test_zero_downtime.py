"""Changes of every kind under load, with every request counted: none may be lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.process.notify import notify
from tests.integration.client import ask, connected, request, until
from tests.integration.gateway import completed
from tests.integration.load import services, under_load
from tests.integration.process import Process, process

both = pytest.mark.parametrize("workers", [1, 2])


def with_server(config: dict[str, Any], **server: Any) -> dict[str, Any]:
    return {**config, "server": server}


async def told(sidegate: Process, event: str, count: int = 1) -> list[dict[str, Any]]:
    """Lines of the log, while the load goes on in this loop."""
    return await asyncio.to_thread(sidegate.lines, event, count)


async def ready(sidegate: Process) -> bool:
    return (await ask(sidegate.admin, request("GET", "/readyz"))).status == 200


@both
async def test_a_reload_loses_nothing(workers: int, tmp_path: Path) -> None:
    async with services() as target:
        with process(with_server(target.config, workers=workers), tmp_path) as sidegate:
            async with under_load(lambda: sidegate.url, sockets=3) as load:
                for number in range(1, 6):
                    headers = {"headers": {"response": {"set": {"X-Number": str(number)}}}}
                    config = with_server({**target.config, "policies": headers}, workers=workers)
                    sidegate.file.write_text(yaml.safe_dump(completed(config)), encoding="utf-8")
                    sidegate.tell(signal.SIGHUP)
                    await told(sidegate, "configuration reloaded", number)
                    await load.more(50)
                answer = await ask(sidegate.url, request())
                assert answer.headers["x-number"] == "5"
            assert (load.statuses, load.closed) == ({200}, 0)
            assert target.requests == load.answered + 1
            assert load.echoed > 100


@both
async def test_an_upgrade_loses_nothing(workers: int, tmp_path: Path) -> None:
    """The new process serves who comes, the old one who was there."""
    async with services() as target:
        with process(with_server(target.config, workers=workers), tmp_path) as sidegate:
            async with under_load(lambda: sidegate.url, sockets=3) as load:
                await load.more(100)
                sidegate.tell(signal.SIGUSR2)
                [line] = await told(sidegate, "upgraded; the old process takes no new connections")
                assert line["pid"] != sidegate.pid
                await load.more(300)
                # The sockets keep the old one.
                assert sidegate.running
                assert await ready(sidegate), "the new one has the admin port"
                echoed = load.echoed
                await until(lambda: load.echoed > echoed + 50)
            assert await asyncio.to_thread(sidegate.wait) == 0
            assert load.statuses == {200}
            assert load.closed == 6, "each client was sent on by one response"
            assert target.requests == load.answered
            assert (await ask(sidegate.url, request())).status == 200
            assert await ready(sidegate)


async def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path) -> None:
    async with services() as target:
        with process(target.config, tmp_path) as sidegate:
            async with under_load(lambda: sidegate.url, sockets=1) as load:
                good = sidegate.file.read_text(encoding="utf-8")
                sidegate.file.write_text("routes: [", encoding="utf-8")
                sidegate.tell(signal.SIGUSR2)
                [line] = await told(sidegate, "upgrade failed; the old process goes on")
                assert line["reason"] == "exit code 1"
                await load.more(100)
                sidegate.file.write_text(good, encoding="utf-8")
                sidegate.tell(signal.SIGHUP)
                await told(sidegate, "configuration reloaded")
                sidegate.tell(signal.SIGUSR2)
                await told(sidegate, "upgraded; the old process takes no new connections")
                await load.more(100)
            assert load.statuses == {200}
            assert target.requests == load.answered


async def test_what_an_upgrade_leaves_behind_has_its_time(tmp_path: Path) -> None:
    async with services() as target:
        drain = {"upgrade": "300ms", "timeout": "200ms"}
        with process(with_server(target.config, drain=drain), tmp_path) as sidegate:
            async with connected(sidegate.url) as idle:
                await idle.send(request())
                assert (await idle.answer()).status == 200
                sidegate.tell(signal.SIGUSR2)
                await told(sidegate, "upgraded; the old process takes no new connections")
                assert await idle.ended()
            assert await asyncio.to_thread(sidegate.wait) == 0


@both
async def test_a_rolling_shutdown_loses_nothing(workers: int, tmp_path: Path) -> None:
    """As Kubernetes does it: readiness fails, endpoints change somewhat later, clients reuse
    connections for as long as they may."""
    async with services() as target:
        config = with_server(target.config, workers=workers, drain={"delay": "3s"})
        folders = [tmp_path / name for name in ("old", "new")]
        for folder in folders:
            folder.mkdir()
        with process(config, folders[0]) as old, process(target.config, folders[1]) as new:
            endpoints = [old]

            async def follow() -> None:
                """What keeps the endpoints of a Service."""
                while True:
                    found = [each for each in (old, new) if each.running and await ready(each)]
                    await asyncio.sleep(0.2)
                    endpoints[:] = found

            following = asyncio.ensure_future(follow())
            async with under_load(lambda: endpoints[0].url) as load:
                old.tell(signal.SIGTERM)
                await load.more(100)
                assert await asyncio.to_thread(old.wait) == 0
                await load.more(100)
            following.cancel()
            assert load.statuses == {200}
            assert load.closed >= 6, "every connection ended with a response that said so"
            assert target.requests == load.answered


@both
async def test_sockets_of_a_service_manager_are_used(workers: int, tmp_path: Path) -> None:
    """As systemd hands them over, with connections that wait already."""
    async with services() as target:
        with socket.socket(socket.AF_INET6) as served, socket.socket() as admin:
            served.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            served.bind(("::", 0))
            admin.bind(("127.0.0.1", 0))
            addresses = []
            for sock in (served, admin):
                sock.listen()
                addresses.append(f"http://127.0.0.1:{sock.getsockname()[1]}")
            port = served.getsockname()[1]
            config = with_server(target.config, workers=workers, listen=[f"http://0.0.0.0:{port}"])
            config["admin"] = {"listen": addresses[1]}
            waiting = asyncio.ensure_future(ask(addresses[0], request()))
            # Descriptors 3 and 4, and the process that is told of them, as the protocol has it.
            start = (
                "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
                "os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid())); "
                "os.execv(sys.executable, [sys.executable, '-m', 'proxy', *sys.argv[3:]])"
            )
            descriptors = [served.fileno(), admin.fileno()]
            command = [sys.executable, "-c", start, *map(str, descriptors)]
            with process(config, tmp_path, command=command, descriptors=descriptors) as sidegate:
                assert (await waiting).status == 200
                assert sidegate.admin == addresses[1]
                assert (await ask(addresses[0], request())).status == 200
                [line] = (await told(sidegate, "request", 2))[:1]
                assert line["client_ip"] == "127.0.0.1"


async def test_a_service_manager_that_is_behind_with_reading_misses_nothing(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        waiting = 0
        with (
            contextlib.suppress(BlockingIOError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
        ):
            sock.setblocking(False)
            while True:
                sock.sendto(b"WATCHDOG=1", environ["NOTIFY_SOCKET"])
                waiting += 1
        telling = asyncio.ensure_future(asyncio.to_thread(notify, environ, "READY=1", 60.0))
        heard = [await asyncio.to_thread(manager.recv, 256) for _ in range(waiting + 1)]
        await telling
        assert heard == [b"WATCHDOG=1"] * waiting + [b"READY=1"]


async def test_a_service_manager_is_told_how_things_stand(tmp_path: Path) -> None:
    """As systemd's `Type=notify` and `WatchdogSec` want it, upgrades included."""
    beats = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)

        def states() -> Iterator[str]:
            nonlocal beats
            for state in iter(lambda: manager.recv(256).decode(), ""):
                if state == "WATCHDOG=1":
                    beats += 1
                else:
                    yield state

        told = states()
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        config = {"routes": [{"name": "all", "policies": {"respond": {"status": 204}}}]}
        with process(config, tmp_path, environ=environ) as sidegate:
            assert next(told) == "READY=1"
            sidegate.tell(signal.SIGUSR2)
            said = {await asyncio.to_thread(next, told) for _ in range(2)}
            [line] = sidegate.lines("upgraded; the old process takes no new connections")
            assert said == {"READY=1", f"MAINPID={line['pid']}"}
            assert beats > 2, "it takes longer than that to start a process"
            # What the old one does from now on is nothing that the service does.
            heard = asyncio.ensure_future(asyncio.to_thread(next, told))
            assert await asyncio.to_thread(sidegate.wait) == 0
            beats = 0
            await until(lambda: beats > 2, "the new one's signs of life")
            os.kill(line["pid"], signal.SIGTERM)
            assert await heard == "STOPPING=1"
