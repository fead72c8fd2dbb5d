"""The proxy that Sidegate's engine replaces: see `plain_proxy.py`."""

from __future__ import annotations

import sys
from importlib.metadata import version

from tests.benchmarks.peers.peer import FORWARDS, Launch, Place


class PlainAiohttp:
    """`web.Application` and `ClientSession` on uvloop. python: the interpreter that runs it."""

    note = "forwards only: no IDs, no headers, no limit, no access log"
    policies = False
    duties = FORWARDS

    def __init__(self, name: str = "plain aiohttp", python: str = sys.executable) -> None:
        self.name = name
        self._python = python

    def program(self) -> str | None:
        """An interpreter."""
        return self._python

    def version(self) -> str:
        """Of aiohttp."""
        return version("aiohttp")

    def launch(self, place: Place) -> Launch:
        """It is a module of the benchmark."""
        module = "tests.benchmarks.plain_proxy"
        return Launch((self._python, "-m", module, str(place.port), str(place.origin)))
