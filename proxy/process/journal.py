"""What operators and configurations do to the log of a running process: levels, and the file.

May live here: how it is done, in each process of an instance alike. Must not live here:
what is written, or who asks.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.config.load import Document
from proxy.config.problems import ConfigError
from proxy.control.line import Handler
from proxy.telemetry.levels import Levels
from proxy.telemetry.logs import BoundLogger
from proxy.telemetry.sink import Sink, open_file


class Journal:
    """The log of this process, as others direct it: see `control.line`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sink: Sink, levels: Levels) -> None:
        self._loop = loop
        self._sink = sink
        self._levels = levels

    def commands(self) -> dict[str, Handler]:
        """What this process does when it is asked, by name."""
        return {
            "log": lambda _: self._shown(),
            "log_exempt": self.exempt,
            "log_clear": lambda _: self._clear(),
            "log_reopen": lambda _: self._reopen(),
        }

    def exempt(self, wanted: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Have levels hold for a while: each with `level`, `seconds_left`, `route`, `client`."""
        for one in wanted:
            seconds = one["seconds_left"]
            self._levels.exempt(one["level"], seconds, one["route"], one["client"])
            # A moment later, so that it is over by then.
            self._loop.call_later(seconds + 0.01, self._levels.settle)
        return self._shown()

    def _clear(self) -> dict[str, Any]:
        self._levels.clear()
        return self._shown()

    def _shown(self) -> dict[str, Any]:
        return {"configured": self._levels.configured, "exceptions": self._levels.exempted()}

    def _reopen(self) -> str:
        """Why the file can't be opened anew, empty when it was; lines then go on to the old."""
        try:
            self._sink.reopen()
        except OSError as error:
            return f"{type(error).__name__}: {error.strerror}"
        return ""


def check_file(path: str | None, document: Document) -> None:
    """Raise ConfigError when a log can't be appended to this file."""
    if path is None:
        return
    try:
        os.close(open_file(path))
    except OSError as error:
        place = ("telemetry", "log", "file")
        problem = document.problem(place, f"can't append to {path}: {error.strerror}")
        raise ConfigError([problem]) from None


def redirect(sink: Sink, path: str | None, log: BoundLogger) -> None:
    """Write to a file from now on, or to the sink's own target for None."""
    try:
        sink.redirect(path or "")
    except OSError as error:
        log.error("the log file can't be opened; lines go where they went", reason=str(error))
