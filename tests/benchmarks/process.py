"""Processes pinned to a core, and what the kernel tells of their CPU time and memory."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Process:
    """A program with its children, started on one core.

    output: file that standard output is appended to; errors: the same for standard error.
    """

    def __init__(
        self,
        command: Sequence[str],
        core: int,
        output: Path,
        errors: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.errors = errors
        with output.open("ab") as out, errors.open("ab") as err:
            self._popen = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pids(self) -> list[int]:
        """The process and all its descendants, parents first."""
        return self._tree()

    def exited(self) -> bool:
        """It ended by itself."""
        return self._popen.poll() is not None

    def cpu_seconds(self) -> float:
        """User and system time of the process and of all its descendants so far."""
        return self._ticks(11, 12) / TICKS

    def system_seconds(self) -> float:
        """The system's part of it."""
        return self._ticks(12) / TICKS

    def resident_bytes(self) -> int:
        """Resident memory, summed over the process and its descendants."""
        return sum(int(_stat(pid)[21]) * PAGE for pid in self._tree())

    def stop(self) -> None:
        """Ask it to end, and end it when it doesn't within five seconds."""
        self._popen.terminate()
        try:
            self._popen.wait(5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _ticks(self, *places: int) -> int:
        """The sum of fields of `_stat`, which are times in ticks, over the whole tree."""
        return sum(int(_stat(pid)[place]) for pid in self._tree() for place in places)

    def _tree(self) -> list[int]:
        parents = {
            int(entry): _parent(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()
        }
        tree = [self._popen.pid]
        for pid in tree:
            tree.extend(child for child, parent in parents.items() if parent == pid)
        return tree


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; the second may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _parent(pid: int) -> int:
    try:
        return int(_stat(pid)[1])
    except OSError:
        return 0


def await_answer(process: Process, port: int, seconds: float = 15.0) -> None:
    """Wait until the port accepts connections.

    Raises RuntimeError, with the last lines that the process wrote, when it ends first or
    takes too long.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not process.exited():
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    said = process.errors.read_text(errors="replace").strip().splitlines()[-5:]
    raise RuntimeError("did not start: " + " / ".join(said or ["it wrote no error"]))


def free_port() -> int:
    """A port of loopback that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
