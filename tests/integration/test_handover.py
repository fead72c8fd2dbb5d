"""Upgrades that don't come about: what is left of them, and what still works."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from proxy.process import handover
from tests.integration.client import ask, request, until
from tests.integration.gateway import running
from tests.integration.process import Process, process

HELLO: Final[dict[str, Any]] = {
    "routes": [{"name": "all", "policies": {"respond": {"status": 201}}}]
}
FAILED: Final = "upgrade failed; the old process goes on"
# Sidegate, of which the process that is to take another's place does nothing.
IDLE: Final = (
    "import os, sys, time; 'SIDEGATE_HANDOVER' in os.environ and time.sleep(600); "
    "from proxy.__main__ import main; sys.exit(main())"
)


def known(pid: int) -> bool:
    """There is such a process, or its exit code."""
    return Path(f"/proc/{pid}").exists()


async def goes_on(sidegate: Process) -> bool:
    """It serves, and its configuration can still be changed."""
    assert (await ask(sidegate.url, request())).status == 201
    sidegate.tell(signal.SIGHUP)
    await asyncio.to_thread(sidegate.lines, "configuration reloaded")
    return True


async def test_a_program_that_is_gone_is_no_reason_to_stop(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.symlink_to(sys.executable)
    # A link outside the environment knows nothing of its packages.
    environ = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [str(program), "-m", "proxy"]
    with process(HELLO, tmp_path, command=command, environ=environ) as sidegate:
        program.unlink()
        sidegate.tell(signal.SIGUSR2)
        [line] = await asyncio.to_thread(sidegate.lines, FAILED)
        assert line["reason"] == "it can't be started: No such file or directory"
        assert await goes_on(sidegate)


async def test_who_does_not_serve_in_time_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "START_SECONDS", 0.2)
    monkeypatch.setattr(sys, "orig_argv", ["", "-c", "import time; time.sleep(600)"])
    async with running(HELLO, tmp_path) as gateway:
        await gateway.upgrade()
        [begun] = await gateway.lines("upgrade begins")
        [line] = await gateway.lines(FAILED)
        assert line["reason"] == "it did not serve within 0.2 s"
        assert not known(begun["pid"])
        assert (await gateway.reload())[0] == 200


async def test_told_to_stop_it_leaves_nobody_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IDLE]
    with process(HELLO, tmp_path, command=command) as sidegate:
        sidegate.tell(signal.SIGUSR2)
        [begun] = await asyncio.to_thread(sidegate.lines, "upgrade begins")
        sidegate.tell(signal.SIGTERM)
        assert await asyncio.to_thread(sidegate.wait) == 0
        await until(lambda: not known(begun["pid"]))


async def test_a_containers_first_process_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(HELLO, tmp_path) as gateway:
        monkeypatch.setattr(os, "getpid", lambda: 1)
        await gateway.upgrade()
        [line] = await gateway.lines(FAILED)
        assert line["reason"].startswith("a container ends with its first process")
