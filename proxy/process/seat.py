"""A worker's place in a team: the process that has it, and the line to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import proxy
from proxy.control.line import ANSWER_SECONDS, Handler, Line, Unanswered
from proxy.control.segments import Vault
from proxy.server.ports import Share
from proxy.server.sockets import Bound

# Python, the program, and a large configuration, on a machine that has other things to do.
_START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.5
# So often in a row, since a process may be stopped for a moment and go on.
_LOOKS: Final = 2


class Seat:
    """One of `count` places; its process may be replaced.

    number: from 1. serving: there is a process, and it accepts connections. missed: signs of
    life that it owes. lent_to: who accepts in its place meanwhile.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, number: int, count: int) -> None:
        self._loop = loop
        self.number = number
        self._count = count
        self._process: asyncio.subprocess.Process | None = None
        self._line: Line | None = None
        self.serving = False
        self.missed = 0
        self.lent_to: Seat | None = None

    @property
    def able(self) -> bool:
        """It serves, and answers when it is asked."""
        return self.serving and not self.missed

    @property
    def pid(self) -> int:
        """Of the latest process."""
        return 0 if self._process is None else self._process.pid

    def shares(self, bound: Mapping[str, Bound]) -> dict[str, Share]:
        """What it accepts from, by address."""
        return {
            text: Share(tuple(one.share(self.number - 1, self._count)), one.port)
            for text, one in bound.items()
        }

    async def launch(self, vault: Vault) -> None:
        """Start a process, which serves once it is told what. Raises OSError."""
        self.missed = 0
        ours, theirs = socket.socketpair()
        vault_ours, vault_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, vault_theirs:
            vault.serve(vault_ours)
            self._line = Line(self._loop, ours, self._cut)
            inherited = (theirs.fileno(), vault_theirs.fileno())
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "proxy.process.child",
                *map(str, inherited), str(self.number),
                stdin=asyncio.subprocess.DEVNULL, pass_fds=inherited, env=_environment(),
            )  # fmt: skip

    async def begin(self, told: dict[str, Any]) -> list[str]:
        """Have the process serve; the problems if it can't. Raises Unanswered."""
        problems: list[str] = await self.change("start", told, seconds=_START_SECONDS)
        self.serving = not problems
        return problems

    async def ask(self, name: str, argument: Any = None, *, seconds: float = ANSWER_SECONDS) -> Any:
        """The worker's answer. Raises Unanswered."""
        if self._line is None:
            raise Unanswered(f"{name}: the process is gone")
        return await self._line.ask(name, argument, seconds=seconds)

    async def change(self, name: str, argument: Any = None, *, seconds: float) -> Any:
        """As `ask`, of what may take its time. Who is stopped meanwhile isn't waited for; what it
        was asked it does when it goes on. Raises Unanswered."""
        asking = self._loop.create_task(self.ask(name, argument, seconds=seconds))
        try:
            looks = 0
            while not (await asyncio.wait({asking}, timeout=_LOOK_SECONDS))[0]:
                looks = looks + 1 if self._stopped() else 0
                if looks == _LOOKS:
                    raise Unanswered(f"{name}: the process is stopped")
            return asking.result()
        finally:
            asking.cancel()

    def on(self, name: str, handler: Handler) -> None:
        """Answer what the worker asks by this name."""
        if self._line is not None:
            self._line.on(name, handler)

    def tell(self, name: str, argument: Any = None) -> None:
        """Let the worker know."""
        if self._line is not None:
            self._line.tell(name, argument)

    async def ended(self) -> str:
        """How the process ended, in words, once it has."""
        if self._process is None:
            return "never started"
        code = await self._process.wait()
        self._cut()
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the process at once."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _stopped(self) -> bool:
        """Something keeps the process from running, as SIGSTOP does."""
        try:
            how = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self.pid, how) is not None
        except ChildProcessError:
            return False

    def _cut(self) -> None:
        self.serving = False
        line, self._line = self._line, None
        if line is not None:
            line.close()


def _environment() -> dict[str, str]:
    """That of this process, in which the same code is found that runs here."""
    root = str(Path(proxy.__file__).parents[1])
    # What begins the path may be the working directory, which the worker leaves out.
    if root in sys.path[0 if sys.flags.safe_path else 1 :]:
        return dict(os.environ)
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, others] if others else [root])}
