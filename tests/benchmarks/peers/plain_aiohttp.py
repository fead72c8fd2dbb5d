"""The proxy that Sidegate's engine replaces: see `plain_proxy.py`."""

from __future__ import annotations

import sys

from tests.benchmarks.peers.peer import Launch, Place


class PlainAiohttp:
    """`web.Application` and `ClientSession` on uvloop."""

    name = "plain aiohttp"
    note = "forwards only: no IDs, no headers, no limit, no access log"
    policies = False
    caches = False

    def program(self) -> str | None:
        """The interpreter that runs the benchmark."""
        return sys.executable

    def launch(self, place: Place) -> Launch:
        """It is a module of the benchmark."""
        module = "tests.benchmarks.plain_proxy"
        return Launch((sys.executable, "-m", module, str(place.port), str(place.origin)))
