"""Notices that configuration files have changed, ConfigMap symlink swaps included."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

Print = tuple[str, int, int, int, int]


class Watch:
    """Remembers what the files were; `changed` says when they are something else.

    Polling, because Kubernetes replaces a directory's symlink, which file events of the
    files themselves don't tell; a look costs a few system calls.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths: tuple[Path, ...] = ()
        self._prints: tuple[Print | None, ...] = ()
        self.follow(paths)

    def follow(self, paths: Iterable[Path]) -> None:
        """Watch these files, from how they are now."""
        self._paths = tuple(paths)
        self._prints = self._look()

    def changed(self) -> bool:
        """Whether any file differs from the last look."""
        now = self._look()
        if now == self._prints:
            return False
        self._prints = now
        return True

    def _look(self) -> tuple[Print | None, ...]:
        return tuple(map(_print, self._paths))


def _print(path: Path) -> Print | None:
    try:
        status = os.stat(path)
        return (
            os.path.realpath(path),
            status.st_ino,
            status.st_dev,
            status.st_mtime_ns,
            status.st_size,
        )
    except OSError:
        return None
