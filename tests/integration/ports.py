"""Ports for those who have to know theirs before they listen, or on which nobody is to listen.

Tests run beside each other in several processes. A port that was only found to be free may be
somebody else's a moment later: the kernel gives it to whoever asks for any.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
from pathlib import Path
from typing import Final

FIRST: Final = 10_000
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHANCE: Final = random.Random(os.urandom(8))


def last_port() -> int:
    """The last of those that the kernel gives to nobody by itself."""
    lowest = int(_RANGE.read_text("ascii").split()[0])
    return lowest - 1 if lowest > 22_000 else 65_535


def lend(port: int) -> bool:
    """Whether it is this process's for as long as it runs, and nobody's already."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as mark:
        # A name that is in no file system, and free again when whoever bound it has ended.
        mark.bind(f"\0sidegate-tests-port-{port}")
        with socket.socket() as probe:
            probe.bind(("", port))
        mark.detach()
        return True
    return False


def free_port() -> int:
    """A port that is lent to this process."""
    for _ in range(1000):
        port = _CHANCE.randint(FIRST, last_port())
        if lend(port):
            return port
    raise AssertionError("all ports are taken")
