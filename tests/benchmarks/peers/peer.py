"""What the benchmark needs to know of a proxy. Each peer is one file beside this one.

A peer's configuration does what Sidegate does by default, as far as that proxy can by itself:
request IDs both ways, forwarding fields, a trace's context, the security headers of `answer.py`,
a rate limit for each client address with refusals in JSON, metrics, JSON access lines to a
file, keep-alive to the origin, room for many idle clients; one worker. What it does less, or
otherwise, is told in its `note`, which is printed with the table.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

Duty = Literal["forward", "cache", "refuse"]
"""What a proxy is to do of most requests: forward them, its limit never tripping; answer them
from a cache in memory; or answer 429, as its limit of one request a minute says."""

FORWARDS: Final[frozenset[Duty]] = frozenset({"forward"})
LIMITS: Final[frozenset[Duty]] = frozenset({"forward", "refuse"})
ALL: Final[frozenset[Duty]] = frozenset({"forward", "refuse", "cache"})
CONNECTIONS: Final = 8_192
"""As many as a proxy is to have room for, where it asks for a number."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proxy runs: its own folder, its port, the origin's port, its access log; and what
    it is to do.
    """

    folder: Path
    port: int
    origin: int
    log: Path
    duty: Duty = "forward"

    def write(self, name: str, text: str) -> str:
        """Put a configuration file into the folder; its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start it. logs_to_output: its access lines go to standard output."""

    command: tuple[str, ...]
    logs_to_output: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


class Peer(Protocol):
    """A proxy to measure."""

    @property
    def name(self) -> str:
        """As the table shows it."""
        ...

    @property
    def note(self) -> str:
        """What it does less or otherwise than the others; empty for nothing."""
        ...

    @property
    def policies(self) -> bool:
        """It is to do the work that `answer.py` checks, beyond forwarding."""
        ...

    @property
    def traces(self) -> bool:
        """It begins a trace's context, or continues the client's."""
        ...

    @property
    def aside(self) -> bool:
        """It is there to tell what part of the work costs, and takes part in small GETs alone."""
        ...

    @property
    def duties(self) -> frozenset[Duty]:
        """What it can do."""
        ...

    def program(self) -> str | None:
        """The path of its program, or None when it isn't installed."""
        ...

    def version(self) -> str:
        """Of the program that is there."""
        ...

    def launch(self, place: Place) -> Launch:
        """Write its configuration and tell how to start it."""
        ...


def find_program(name: str) -> str | None:
    """A program on the PATH or where Debian keeps daemons."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def version_of(*command: str) -> str:
    """The first version number that a program tells of itself; empty if it tells none."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    return found[0] if found else ""
