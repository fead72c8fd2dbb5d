"""How a process hands its sockets on to the one that takes its place.

At an upgrade the old process starts the new one by the command line that it was started
with itself, and keeps a line to it. The new one asks for the sockets, serves, and says so;
from then on the old one accepts nothing. The sockets themselves are never closed, so that
no connection is refused or lost that waits in them. If the new process ends before it
serves, nothing has changed.

A service manager may hand sockets over as well, by `LISTEN_FDS` (systemd's protocol).

What travels is plain, as the two ends may be of different versions.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from proxy.control.channel import Descriptor
from proxy.control.line import Line
from proxy.server.sockets import Bound

START_SECONDS: Final = 90.0
"""How long a new process may take until it serves; it gives its own workers 60 s."""

VARIABLE: Final = "SIDEGATE_HANDOVER"
"""Names the descriptor of the line to the old process, in the environment of the new one."""

_FIRST_DESCRIPTOR: Final = 3


@dataclass(frozen=True, slots=True)
class Estate:
    """What a process has to hand on.

    served, admin: listening sockets of the proxy and of the admin API, by configured
    address. log: the file that is locked by whoever writes to the log.
    """

    served: Mapping[str, Bound]
    admin: Mapping[str, Bound]
    log: Descriptor | None

    def pack(self) -> dict[str, Any]:
        """As it travels."""
        return {"served": _pack(self.served), "admin": _pack(self.admin), "log": self.log}

    @staticmethod
    def unpack(told: Mapping[str, Any]) -> Estate:
        """As it arrived."""
        return Estate(_unpack(told["served"]), _unpack(told["admin"]), told["log"])


NOTHING: Final = Estate({}, {}, None)


def _pack(bound: Mapping[str, Bound]) -> dict[str, Any]:
    return {text: (one.shown, one.groups) for text, one in bound.items()}


def _unpack(told: Mapping[str, Any]) -> dict[str, Bound]:
    return {text: Bound(groups, shown) for text, (shown, groups) in told.items()}


class Predecessor:
    """The process that this one takes the place of."""

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        self._line = Line(loop, socket.socket(fileno=descriptor), lambda: None)

    async def estate(self) -> Estate:
        """What it hands on. Raises Unanswered."""
        return Estate.unpack(await self._line.ask("estate"))

    def relieve(self) -> None:
        """Tell it that this process serves."""
        self._line.tell("serving", os.getpid())


class Successor:
    """The process that takes the place of this one.

    serving: called with its process ID once it serves. failed: called with the reason when
    it ends before, or takes too long. Raises OSError when it can't be started.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        estate: Callable[[], Estate],
        serving: Callable[[int], None],
        failed: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._serving = serving
        self._failed = failed
        ours, theirs = socket.socketpair()
        with theirs:
            # Not by the loop: it would end its children when it closes. The command is the
            # one that started this process.
            try:
                self._process = subprocess.Popen(  # noqa: S603
                    [sys.executable, *sys.orig_argv[1:]],
                    env={**os.environ, VARIABLE: str(theirs.fileno())},
                    pass_fds=(theirs.fileno(),),
                )
            except OSError:
                ours.close()
                raise
        self._line = Line(loop, ours, self._ended)
        self._line.on("estate", lambda _: estate().pack())
        self._line.on("serving", self._served)
        self._late = loop.call_later(START_SECONDS, self._give_up)

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._process.pid

    def kill(self) -> None:
        """End it at once, since it doesn't serve yet; nobody is told."""
        self._late.cancel()
        self._line.close()
        self._process.kill()
        self._process.wait()

    def _give_up(self) -> None:
        self.kill()
        self._failed(f"it did not serve within {START_SECONDS:g} s")

    def _served(self, pid: int) -> None:
        self._late.cancel()
        self._serving(pid)

    def _ended(self) -> None:
        self._late.cancel()
        code = self._process.poll()
        if code is None:
            # It hung up; a moment later there is a code.
            self._loop.call_later(0.1, self._ended)
        else:
            self._failed(f"exit code {code}")


def inherited(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets of a service manager, which the environment tells of no longer."""
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    sockets = []
    for number in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count)):
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
        sock.setblocking(False)
        sockets.append(sock)
    return sockets
