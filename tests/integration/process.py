"""Sidegate as users run it: a process of its own, configured by a file, told by signals."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.integration.gateway import NOTHING, completed

ROOT: Final = Path(__file__).parents[2]
TIMEOUT: Final = 90.0


class Process:
    """`python -m proxy run FILE`. url, admin: its addresses. file: its configuration.
    log: what it wrote.

    command: what runs it, if not this Python. environ: more variables. descriptors: open
    files that it inherits.
    """

    def __init__(
        self,
        file: Path,
        log: Path,
        *,
        command: Sequence[str] = (sys.executable, "-m", "proxy"),
        environ: Mapping[str, str] = NOTHING,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.file = file
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "run", str(file)],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": "/usr/bin:/bin", **environ},
                pass_fds=descriptors,
            )
        try:
            [ready] = self.lines("ready")
        except BaseException:
            # Whoever asked for it has nothing to end it by.
            self.kill()
            raise
        self.url: str = ready["listen"][0]
        self.admin: str = ready["admin"]

    @property
    def port(self) -> int:
        """The port of `url`."""
        return int(self.url.rpartition(":")[2])

    @property
    def rss(self) -> int:
        """Resident memory in bytes."""
        text = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) * 1024

    @property
    def pid(self) -> int:
        """Its process ID; at an upgrade another process takes its place."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """It hasn't ended."""
        return self._process.poll() is None

    def lines(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """The log lines of an event, once there are `count`."""
        late = time.monotonic() + TIMEOUT
        while True:
            text = self.log.read_text(encoding="utf-8")
            found = [
                json.loads(line)
                for line in text[: text.rfind("\n") + 1].splitlines()
                if f'"event":"{event}"' in line
            ]
            if len(found) >= count:
                return found
            assert self.running, f"no {event!r} line before it ended:\n{text}"
            assert time.monotonic() < late, f"no {event!r} line:\n{text}"
            time.sleep(0.01)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(TIMEOUT)

    def kill(self) -> None:
        """End it and whoever took its place, whatever they do."""
        self._process.kill()
        self._process.wait()
        for line in self.log.read_text(encoding="utf-8").splitlines():
            if '"event":"upgrade begins"' in line:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(json.loads(line)["pid"], signal.SIGKILL)


@contextlib.contextmanager
def process(config: dict[str, Any] | None, folder: Path, **how: Any) -> Iterator[Process]:
    """Run Sidegate with a configuration; `listen` and `admin` get free ports.

    With None it is what stands in `sidegate.yaml` already.
    how: as `Process` takes it.
    """
    file = folder / "sidegate.yaml"
    if config is not None:
        file.write_text(yaml.safe_dump(completed(config)), encoding="utf-8")
    running = Process(file, folder / "sidegate.log", **how)
    try:
        yield running
    finally:
        running.kill()
