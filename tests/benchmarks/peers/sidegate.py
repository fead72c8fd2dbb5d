"""Sidegate with its default policies, a rate limit and the access log."""

from __future__ import annotations

import sys
from importlib.metadata import version
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
    """The proxy of this project, from this checkout. python: the interpreter that runs it."""

    note = "tells clients their limit in RateLimit fields, and what trace they are part of"
    policies = True
    traces = True
    aside = False
    duties = ALL

    def __init__(self, name: str = "Sidegate", python: str = sys.executable) -> None:
        self.name = name
        self._python = python

    def program(self) -> str | None:
        """An interpreter."""
        return self._python

    def version(self) -> str:
        """Of the distribution that is installed from this checkout."""
        return version("sidegate")

    def launch(self, place: Place) -> Launch:
        """Access lines are JSON on standard output."""
        limit = "limit: 1/min, burst: 1" if place.duty == "refuse" else _NEVER
        text = CONFIGURATION.format(port=place.port, origin=place.origin, limit=limit)
        if place.duty == "cache":
            text += "  cache: true\n"
        path = place.write("sidegate.yaml", text)
        return Launch((self._python, "-m", "proxy", "run", path), logs_to_output=True)
