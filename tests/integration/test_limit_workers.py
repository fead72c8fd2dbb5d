"""A limit is one for all workers, exactly: hammered, and with workers killed in the act."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.integration import hammer
from tests.integration.client import Wire, connected, request
from tests.integration.process import ROOT, Process, process
from tests.integration.test_workers import pids, status_of

CONNECTIONS = 64


@contextlib.contextmanager
def hammering(count: int) -> Iterator[tuple[int, list[subprocess.Popen[bytes]]]]:
    """Processes that take from one limit, once they have all begun, and their memory."""
    descriptor = os.memfd_create("hammered")
    os.ftruncate(descriptor, hammer.size())
    command = [sys.executable, "-m", "tests.integration.hammer", str(descriptor)]
    processes = [
        subprocess.Popen(
            [*command, str(number)],
            cwd=ROOT,
            pass_fds=(descriptor,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(count)
    ]
    try:
        for one in processes:
            assert one.stdout is not None
            assert one.stdout.readline() == b"ready\n"
        for one in processes:
            assert one.stdin is not None
            one.stdin.write(b"go\n")
            one.stdin.flush()
        yield descriptor, processes
    finally:
        for one in processes:
            with one:
                one.kill()
        os.close(descriptor)


def test_processes_take_exactly_what_there_is() -> None:
    with hammering(4) as (descriptor, processes):
        assert [one.wait(300) for one in processes] == [0] * 4
        memory, _ = hammer.attach(descriptor, 7)
        assert sum(hammer.admitted(memory)) == hammer.LIMIT.limit


def test_processes_that_are_killed_in_the_act_stop_nobody() -> None:
    chance = random.Random(5)
    with hammering(6) as (descriptor, processes):
        for one in processes[:4]:
            time.sleep(chance.uniform(0.0, 0.02))
            one.send_signal(signal.SIGKILL)
            one.wait()
        assert [one.wait(300) for one in processes[4:]] == [0, 0]
        memory, limiter = hammer.attach(descriptor, 7)
        told = sum(hammer.admitted(memory))
        # Each of the dead may have taken one of which it didn't live to tell.
        assert hammer.LIMIT.limit - 4 <= told <= hammer.LIMIT.limit
        assert limiter.look("everybody")[0].remaining == 0


async def _replaced(sidegate: Process, gone: list[int]) -> None:
    """Wait until there are four workers again, without those."""
    for _ in range(600):
        now = await pids(sidegate)
        if len(now) == 4 and not set(gone) & set(now):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the workers were not replaced")


def limited(**options: Any) -> dict[str, Any]:
    """Four workers that answer by themselves, and a limit before that."""
    return {
        "server": {"workers": 4},
        "routes": [
            {
                "name": "all",
                "policies": {"rate_limit": {"key": "global", **options}, "respond": 204},
            }
        ],
    }


async def ask_often(wire: Wire, times: int) -> int:
    """How many of so many requests are admitted."""
    admitted = 0
    for _ in range(times):
        await wire.send(request())
        answer = await wire.answer()
        assert answer.status in (204, 429)
        admitted += answer.status == 204
    return admitted


async def ask_all(sidegate: Process, times: int) -> int:
    """How many of so many requests on each of many connections are admitted, by all workers."""
    async with contextlib.AsyncExitStack() as stack:
        wires = [
            await stack.enter_async_context(connected(sidegate.url)) for _ in range(CONNECTIONS)
        ]
        admitted = sum(await asyncio.gather(*(ask_often(wire, times) for wire in wires)))
        status = await status_of(sidegate)
        assert all(worker["connections"] for worker in status["workers"])
    return admitted


async def test_workers_admit_together_what_the_limit_says_though_some_are_killed(
    tmp_path: Path,
) -> None:
    limits = {"limits": ["400/day", {"limit": 500, "algorithm": "concurrency"}]}
    with process(limited(**limits), tmp_path) as sidegate:
        first = await ask_all(sidegate, 5)
        assert first == 5 * CONNECTIONS
        before = await pids(sidegate)
        for pid in before[:2]:
            os.kill(pid, signal.SIGKILL)
        await _replaced(sidegate, before[:2])
        assert first + await ask_all(sidegate, 15) == 400, "neither more nor less"
