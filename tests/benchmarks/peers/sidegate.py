"""Sidegate with its default policies, a rate limit and the access log."""

from __future__ import annotations

import sys
from typing import Final

from tests.benchmarks.peers.peer import Launch, Place

CONFIGURATION: Final = """\
server: {{listen: "http://127.0.0.1:{port}"}}
admin: {{listen: null}}
telemetry: {{log: {{format: json}}}}
upstreams: {{origin: "http://127.0.0.1:{origin}"}}
policies:
  rate_limit: {{limit: 1000000/s, burst: 1000000, key: client_ip}}
"""


class Sidegate:
    """The proxy of this project, from this checkout."""

    name = "Sidegate"
    note = "also continues or begins a trace context, which the others don't"
    policies = True
    caches = True

    def program(self) -> str | None:
        """The interpreter that runs the benchmark."""
        return sys.executable

    def launch(self, place: Place) -> Launch:
        """Access lines are JSON on standard output."""
        text = CONFIGURATION.format(port=place.port, origin=place.origin)
        if place.cache:
            text += "  cache: true\n"
        path = place.write("sidegate.yaml", text)
        return Launch((sys.executable, "-m", "proxy", "run", path), logs_to_output=True)
