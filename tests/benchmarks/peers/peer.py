"""What the benchmark needs to know of a proxy. Each peer is one file beside this one.

A peer's configuration does what Sidegate does by default, as far as that proxy can: request
IDs both ways, forwarding fields, the security headers of `answer.py`, a rate limit that
never trips, JSON access lines to a file, keep-alive to the origin; one worker. What it can't
is told in its `note`, which is printed with the table.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proxy runs: its own folder, its port, the origin's port, its access log.

    cache: it is to answer from a cache in memory.
    """

    folder: Path
    port: int
    origin: int
    log: Path
    cache: bool = False

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
    def caches(self) -> bool:
        """It can answer from memory, and takes part in `--cache`."""
        ...

    def program(self) -> str | None:
        """The path of its program, or None when it isn't installed."""
        ...

    def launch(self, place: Place) -> Launch:
        """Write its configuration and tell how to start it."""
        ...


def find_program(name: str) -> str | None:
    """A program on the PATH or where Debian keeps daemons."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
