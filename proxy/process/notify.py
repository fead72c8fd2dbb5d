"""Telling a service manager how things stand (systemd's `sd_notify`)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from typing import Final

_PATIENCE_SECONDS: Final = 1.0


def notify(environ: Mapping[str, str], state: str, patience: float = _PATIENCE_SECONDS) -> None:
    """Say `READY=1`, `STOPPING=1` and the like, if there is anybody who wants to know.

    patience: seconds for which this may block while too much waits to be read already; nobody
    asks again for what is said once.
    """
    name = environ.get("NOTIFY_SOCKET", "")
    if not name.startswith(("/", "@")):
        return
    # A name that begins with a zero byte stands in no file system.
    address = "\0" + name[1:] if name.startswith("@") else name
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(patience)
        sock.sendto(state.encode(), address)


async def prove_life(environ: Mapping[str, str], relieved: asyncio.Event) -> None:
    """Say at each half of the time that it allows that this process is well, to one that wants
    to hear it (`WatchdogSec`). relieved: another process says so from then on."""
    allowed = environ.get("WATCHDOG_USEC", "")
    if allowed.isdigit():
        while not relieved.is_set():
            notify(environ, "WATCHDOG=1", 0.0)
            await asyncio.sleep(int(allowed) / 2e6)
