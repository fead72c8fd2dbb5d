"""Sidegate with its default policies, a rate limit and the access log."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from tests.benchmarks.peers.peer import ALL, Launch, Place

CONFIGURATION: Final = """\
server: {{listen: "http://127.0.0.1:{port}"}}
admin: {{listen: null}}
telemetry: {{log: {{format: json}}}}
upstreams: {{origin: "http://127.0.0.1:{origin}"}}
policies:
  rate_limit: {{{limit}, key: client_ip}}
"""
_NEVER: Final = "limit: 1000000/s, burst: 1000000"


class Sidegate:
    """The proxy of this project, as it is installed for an interpreter. python: that one."""

    note = "tells clients their limit in RateLimit fields, and what trace they are part of"
    policies = True
    traces = True
    aside = False
    duties = ALL

    def __init__(self, name: str = "Sidegate", python: str = sys.executable) -> None:
        self.name = name
        self._python = python
        # What is installed, and not what the folder has that this is started from.
        self._command = (python, "-P", "-m", "proxy")

    def program(self) -> str | None:
        """An interpreter."""
        return self._python

    def version(self) -> str:
        """With how it was built, and for which Python."""
        done = subprocess.run(
            [*self._command, "--version"], capture_output=True, text=True, check=True
        )
        return done.stdout.strip().removeprefix("sidegate ")

    def launch(self, place: Place) -> Launch:
        """Access lines are JSON on standard output."""
        limit = "limit: 1/min, burst: 1" if place.duty == "refuse" else _NEVER
        text = CONFIGURATION.format(port=place.port, origin=place.origin, limit=limit)
        if place.duty == "cache":
            text += "  cache: true\n"
        path = place.write("sidegate.yaml", text)
        return Launch((*self._command, "run", path), logs_to_output=True)
