"""Several workers under a supervisor, as processes: shared out, replaced, changed, drained."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from proxy.control.line import Unanswered
from proxy.control.segments import Vault
from proxy.process.seat import Seat
from tests.integration.client import TIMEOUT, CutShort, ask, connected, request, until
from tests.integration.gateway import completed
from tests.integration.origins import OK, Holding, RawOrigin, answering
from tests.integration.ports import free_port
from tests.integration.process import ROOT, Process, process

WORKERS: Final = 2


def answers(status: int, **server: Any) -> dict[str, Any]:
    """Every request is answered with this status, by one of two workers."""
    return {
        "server": {"workers": WORKERS, **server},
        "routes": [{"name": "all", "policies": {"respond": {"status": status}}}],
    }


def before(origin: RawOrigin) -> dict[str, Any]:
    """Two workers before a service."""
    server = {"workers": WORKERS, "drain": {"timeout": "20s"}}
    return {"server": server, "upstreams": {"service": origin.url}}


async def status_of(sidegate: Process) -> dict[str, Any]:
    page = await ask(sidegate.admin, request("GET", "/"))
    status: dict[str, Any] = page.json["sidegate"]
    return status


async def pids(sidegate: Process) -> list[int]:
    """The process of each worker."""
    return [worker["pid"] for worker in (await status_of(sidegate))["workers"]]


async def metric(sidegate: Process, series: str) -> float:
    page = await ask(sidegate.admin, request("GET", "/metrics"))
    values = [
        float(line.rpartition(" ")[2])
        for line in page.body.decode().splitlines()
        if line.startswith(series)
    ]
    return sum(values)


def alive(pid: int) -> bool:
    """The process is there, and not only its exit code."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except FileNotFoundError:
        return False
    return not state.startswith("Z")


async def test_workers_share_the_port_and_their_counts_are_one(tmp_path: Path) -> None:
    with process(answers(201), tmp_path) as sidegate:
        async with contextlib.AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(connected(sidegate.url)) for _ in range(40)]
            for wire in wires:
                await wire.send(request())
                assert (await wire.answer()).status == 201
            status = await status_of(sidegate)
            assert [worker["worker"] for worker in status["workers"]] == [1, 2]
            assert all(worker["connections"] for worker in status["workers"])
            assert status["connections"] == 40
            assert await metric(sidegate, "sidegate_requests_total") == 40
            assert await metric(sidegate, 'sidegate_connections{state="idle"}') == 40
        assert len(sidegate.lines("worker serves")) == WORKERS


async def test_a_killed_worker_costs_what_it_was_doing_and_nothing_else(tmp_path: Path) -> None:
    """Clients go on asking while one of two workers is killed."""
    stop = asyncio.Event()
    done, lost = [0] * 8, [0] * 8

    async def client(url: str, place: int) -> None:
        while not stop.is_set():
            async with connected(url) as wire:
                with contextlib.suppress(CutShort, ConnectionResetError, BrokenPipeError):
                    while not stop.is_set():
                        lost[place] += 1
                        await wire.send(request())
                        assert (await wire.answer()).status == 200
                        lost[place] -= 1
                        done[place] += 1

    async with RawOrigin(answering(OK)) as origin:
        with process(before(origin), tmp_path) as sidegate:
            async with asyncio.TaskGroup() as group:
                for place in range(8):
                    group.create_task(client(sidegate.url, place))
                await until(lambda: sum(done) > 100)
                victim = (await pids(sidegate))[0]
                os.kill(victim, signal.SIGKILL)
                await asyncio.to_thread(sidegate.lines, "worker serves", WORKERS + 1)
                assert victim not in await pids(sidegate)
                goal = [count + 10 for count in done]
                await until(lambda: all(map(int.__gt__, done, goal)))
                stop.set()
            assert max(lost) <= 1, "the kill costs a client the one request it waited for"
            [ended] = sidegate.lines("worker ended")
            assert ended["how"] == "killed by SIGKILL"
            assert await metric(sidegate, "sidegate_worker_restarts_total") == 1
            counted = await metric(sidegate, "sidegate_requests_total")
            # A response that has left may not have been counted by the moment of the kill.
            assert abs(counted - sum(done)) <= len(done), "killed workers' counts stay"


async def test_connections_that_waited_for_a_killed_worker_are_served(tmp_path: Path) -> None:
    with process(answers(201), tmp_path) as sidegate:
        victim = (await pids(sidegate))[0]
        os.kill(victim, signal.SIGSTOP)
        async with contextlib.AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(connected(sidegate.url)) for _ in range(30)]
            tasks = []
            for wire in wires:
                await wire.send(request())
                tasks.append(asyncio.ensure_future(wire.answer()))
            await until(lambda: any(task.done() for task in tasks))
            await asyncio.sleep(0.3)
            waiting = [task for task in tasks if not task.done()]
            assert 0 < len(waiting) < 30, "the kernel shares connections out"
            os.kill(victim, signal.SIGKILL)
            assert {(await task).status for task in tasks} == {201}


async def test_a_worker_that_can_not_live_leaves_its_share_to_the_other(tmp_path: Path) -> None:
    """While its replacement is held back, nobody waits for it."""
    with process(answers(201), tmp_path) as sidegate:
        for round in (1, 2):
            os.kill((await pids(sidegate))[0], signal.SIGKILL)
            await asyncio.to_thread(sidegate.lines, "worker ended", round)
            for _ in range(20):
                async with asyncio.timeout(TIMEOUT):
                    assert (await ask(sidegate.url, request())).status == 201
            await asyncio.to_thread(sidegate.lines, "worker serves", WORKERS + round)
        assert [line["again_in"] for line in sidegate.lines("worker ended")] == [0.0, 0.5]


# Sidegate, which takes a worker for dead after some seconds.
IMPATIENT: Final = (
    "import sys; from proxy.process import team; team.BEAT_SECONDS = 0.5; "
    "from proxy.__main__ import main; sys.exit(main())"
)


async def test_a_worker_that_stands_still_is_replaced(tmp_path: Path) -> None:
    """Until then the other serves its clients, and operators don't wait for it either."""
    command = [sys.executable, "-c", IMPATIENT]
    with process(answers(201), tmp_path, command=command) as sidegate:
        workers = await pids(sidegate)
        os.kill(workers[0], signal.SIGSTOP)
        await asyncio.to_thread(sidegate.lines, "worker stands still")
        for _ in range(20):
            assert (await ask(sidegate.url, request())).status == 201
        assert await pids(sidegate) == workers[1:]
        os.kill(workers[0], signal.SIGCONT)
        await asyncio.to_thread(sidegate.lines, "worker answers again")
        assert await pids(sidegate) == workers
        os.kill(workers[0], signal.SIGSTOP)
        [line] = await asyncio.to_thread(sidegate.lines, "worker ended")
        assert (line["pid"], line["how"]) == (workers[0], "killed by SIGKILL")
        await asyncio.to_thread(sidegate.lines, "worker serves", WORKERS + 1)
        assert workers[1] in await pids(sidegate)


_KEPT: Final = "configuration not reloaded; the old one goes on"
# Sidegate, which soon tries again what a worker was silent to, and seldom asks for signs of life.
EAGER: Final = (
    "import sys, proxy.app, proxy.process.team as team; "
    "proxy.app._PATIENCE_SECONDS = 0.3; team.BEAT_SECONDS = 600.0; "
    "from proxy.__main__ import main; sys.exit(main())"
)


async def told(sidegate: Process, method: str, path: str) -> tuple[int, dict[str, Any]]:
    """Status and facts that the admin API answers with."""
    body = None if method == "GET" else b""
    answer = await ask(sidegate.admin, request(method, path, body))
    return answer.status, json.loads(answer.body)


async def test_a_silent_worker_is_named_and_not_waited_for(tmp_path: Path) -> None:
    command = [sys.executable, "-c", EAGER]
    with process(answers(201), tmp_path, command=command) as sidegate:
        victim = (await pids(sidegate))[0]
        os.kill(victim, signal.SIGSTOP)
        status, facts = await told(sidegate, "GET", "/upstreams")
        assert (status, facts["silent_workers"]) == (200, [1])
        status, facts = await told(sidegate, "POST", "/reload")
        assert (status, facts["error"], facts["silent_workers"]) == (503, "worker_silent", [1])
        assert facts["problems"] == [f"worker 1 (process {victim}) does not answer"]
        text = sidegate.log.read_text(encoding="utf-8")
        assert "worker stands still" not in text, "it is told before that is certain"
        sidegate.file.write_text(yaml.safe_dump(completed(answers(202))), encoding="utf-8")
        sidegate.tell(signal.SIGHUP)
        await asyncio.to_thread(
            sidegate.lines, "configuration not reloaded; the old one goes on", 2
        )
        os.kill(victim, signal.SIGCONT)
        await asyncio.to_thread(sidegate.lines, "configuration reloaded")
        assert {(await ask(sidegate.url, request())).status for _ in range(20)} == {202}
        status, facts = await told(sidegate, "GET", "/upstreams")
        assert "silent_workers" not in facts


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_who_is_gone_amid_a_change_is_not_waited_for(
    how: signal.Signals, tmp_path: Path
) -> None:
    """Workers wait a moment for a store that doesn't answer, in which one of them is hit."""
    async with RawOrigin(Holding()) as store:
        with process(answers(201), tmp_path) as sidegate:
            victim = (await pids(sidegate))[0]
            config = {**answers(202), "store": {"url": store.url.replace("http", "redis")}}
            sidegate.file.write_text(yaml.safe_dump(completed(config)), encoding="utf-8")
            sidegate.tell(signal.SIGHUP)
            await until(lambda: store.connections == WORKERS)
            os.kill(victim, how)
            try:
                await asyncio.to_thread(sidegate.lines, "configuration reloaded")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGCONT)
            assert "no answer within 30 s" not in sidegate.log.read_text(encoding="utf-8")
            # What it was asked it does when it goes on.
            async with asyncio.timeout(TIMEOUT):
                while {(await ask(sidegate.url, request())).status for _ in range(20)} != {202}:
                    pass


async def test_who_is_stopped_before_it_could_answer_is_told_as_that(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    seat, vault = Seat(loop, 1, 1), Vault(loop)
    await seat.launch(vault)
    try:
        os.kill(seat.pid, signal.SIGSTOP)
        async with asyncio.timeout(TIMEOUT):
            with pytest.raises(Unanswered, match="beat: the process is stopped"):
                await seat.change("beat", seconds=2 * TIMEOUT)
        os.kill(seat.pid, signal.SIGCONT)
        assert await seat.change("beat", seconds=TIMEOUT) is None
    finally:
        seat.kill()
        assert await seat.ended() == "killed by SIGKILL"
        vault.close()


async def test_all_workers_change_together_or_none(tmp_path: Path) -> None:
    async def statuses(sidegate: Process) -> set[int]:
        return {(await ask(sidegate.url, request())).status for _ in range(20)}

    with process(answers(201), tmp_path) as sidegate:
        sidegate.file.write_text(yaml.safe_dump(completed(answers(202))), encoding="utf-8")
        sidegate.tell(signal.SIGHUP)
        await asyncio.to_thread(sidegate.lines, "configuration reloaded")
        assert await statuses(sidegate) == {202}
        sidegate.file.write_text("routes: [", encoding="utf-8")
        report = await ask(sidegate.admin, request("POST", "/reload", b""))
        assert report.status == 409
        assert await statuses(sidegate) == {202}
        # Nor does a replacement take what the file says now.
        os.kill((await pids(sidegate))[1], signal.SIGKILL)
        await asyncio.to_thread(sidegate.lines, "worker serves", WORKERS + 1)
        assert await statuses(sidegate) == {202}


async def test_addresses_come_and_go_for_all_workers(tmp_path: Path) -> None:
    port = free_port()
    first, second = f"http://127.0.0.1:{port}", f"http://0.0.0.0:{port}"
    with process(answers(201, listen=[first]), tmp_path) as sidegate:
        text = yaml.safe_dump(completed(answers(202, listen=[second])))
        sidegate.file.write_text(text, encoding="utf-8")
        assert (await ask(sidegate.admin, request("POST", "/reload", b""))).status == 200
        assert (await status_of(sidegate))["listen"] == [second]
        for host in ("127.0.0.1", "127.0.0.2"):
            url = f"http://{host}:{port}"
            assert {(await ask(url, request())).status for _ in range(10)} == {202}


async def test_draining_lets_every_worker_finish(tmp_path: Path) -> None:
    script = Holding()
    async with RawOrigin(script) as origin:
        with process(before(origin), tmp_path) as sidegate:
            workers = await pids(sidegate)
            tasks = [asyncio.ensure_future(ask(sidegate.url, request())) for _ in range(12)]
            await until(lambda: script.asked == 12)
            sidegate.tell(signal.SIGTERM)
            await asyncio.to_thread(sidegate.lines, "draining")
            await until(lambda: not listening(sidegate.port))
            assert (await ask(sidegate.admin, request("GET", "/readyz"))).status == 503
            refused = await ask(sidegate.admin, request("POST", "/reload", b""))
            assert (refused.status, refused.json["problems"]) == (409, ["it is about to end"])
            script.free.set()
            assert {(await task).status for task in tasks} == {200}
            assert await asyncio.to_thread(sidegate.wait) == 0
            assert len(sidegate.lines("request", 12)) == 12
            assert not any(alive(pid) for pid in workers)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    with process(answers(201), tmp_path) as sidegate:
        workers = await pids(sidegate)
        sidegate.kill()
        await until(lambda: not any(alive(pid) for pid in workers))
        assert not listening(sidegate.port)


async def test_a_signal_to_the_whole_group_is_the_supervisors(tmp_path: Path) -> None:
    """As a terminal sends it."""
    script = Holding()
    async with RawOrigin(script) as origin:
        with process(before(origin), tmp_path) as sidegate:
            task = asyncio.ensure_future(ask(sidegate.url, request()))
            await until(lambda: script.asked == 1)
            for pid in await pids(sidegate):
                os.kill(pid, signal.SIGINT)
                os.kill(pid, signal.SIGTERM)
            sidegate.tell(signal.SIGINT)
            await asyncio.to_thread(sidegate.lines, "draining")
            script.free.set()
            assert (await task).status == 200
            assert await asyncio.to_thread(sidegate.wait) == 0


async def test_another_instance_does_not_take_a_share_in_silence(tmp_path: Path) -> None:
    with process(answers(201), tmp_path) as sidegate:
        for workers in (1, 2):
            other = tmp_path / f"other-{workers}"
            other.mkdir()
            config = answers(202, workers=workers, listen=[sidegate.url])
            refused = pytest.raises(AssertionError, match=r"server\.listen: .*already in use")
            with refused, process(config, other):
                pass
        config = {**answers(202), "admin": {"listen": sidegate.admin}}
        refused = pytest.raises(AssertionError, match=r"admin\.listen: .*already in use")
        with refused, process(config, tmp_path / "other-1"):
            pass


def test_lines_of_several_processes_do_not_mix() -> None:
    """A pipe takes what is longer than a page in pieces, with others' writes between them."""
    script = """
import os, sys, threading
from proxy.telemetry.sink import Sink
sink = Sink(1)
sink.share(int(sys.argv[1]))
for _ in range(40):
    for number in range(200):
        sink.write(sys.argv[2].encode() * 500 + b"\\n")
    sink.flush()
sink.close(30.0)
"""
    lock = os.memfd_create("lock")
    reader, writer = os.pipe()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(lock), letter],
            stdout=writer, pass_fds=(lock,), cwd=ROOT,
        )
        for letter in "abc"
    ]  # fmt: skip
    os.close(writer)
    with open(reader, "rb") as stream:
        lines = stream.read().splitlines()
    assert [process.wait() for process in writers] == [0, 0, 0]
    os.close(lock)
    assert len(lines) == 3 * 40 * 200
    assert {line for line in lines if len(set(line)) != 1 or len(line) != 500} == set()


async def test_streams_that_are_closed_are_nobodys_sockets(tmp_path: Path) -> None:
    """What is written there later must not end up with a client."""
    config = answers(201)
    config["telemetry"] = {"log": {"file": str(tmp_path / "sidegate.log")}}
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "proxy"]
    with process(config, tmp_path, command=command) as sidegate:
        assert (await ask(sidegate.url, request())).status == 201
        for pid in {sidegate.pid, *await pids(sidegate)}:
            assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)} == {"/dev/null"}
