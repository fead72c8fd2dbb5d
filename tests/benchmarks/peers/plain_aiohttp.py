"""The proxy that Sidegate's engine replaces: see `plain_proxy.py` and `plain_policies.py`."""

from __future__ import annotations

import sys
from importlib.metadata import version

from tests.benchmarks.peers.peer import FORWARDS, LIMITS, Launch, Place


class PlainAiohttp:
    """`web.Application`, `ClientSession` and middlewares on uvloop. python: the interpreter that
    runs it. policies: without them it only forwards, `aside`.
    """

    traces = False

    def __init__(
        self, name: str = "plain aiohttp", python: str = sys.executable, *, policies: bool = True
    ) -> None:
        self.name = name
        self.policies = policies
        self.aside = not policies
        self.duties = LIMITS if policies else FORWARDS
        self.note = (
            "no trace context; each line is written by itself, as structlog does it"
            if policies
            else "no IDs, no headers, no limit, no metrics, no access log"
        )
        self._python = python

    def program(self) -> str | None:
        """An interpreter."""
        return self._python

    def version(self) -> str:
        """Of aiohttp."""
        return version("aiohttp")

    def launch(self, place: Place) -> Launch:
        """It is a module of the benchmark. Access lines are JSON on standard output."""
        command = (self._python, "-m", "tests.benchmarks.plain_proxy", str(place.port))
        limit = ("1", "60") if place.duty == "refuse" else ("1000000", "1")
        return Launch(
            (*command, str(place.origin), *(limit if self.policies else ())),
            logs_to_output=self.policies,
        )
