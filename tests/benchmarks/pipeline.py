"""Sidegate's data plane in this process, between clients and a service of paper.

No sockets and no other process take part, so what is measured is Sidegate's own work: all
of it but the kernel's and the event loop's. May live here: the paper. Must not live here:
what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

import yaml

from proxy.catalog import load_catalog
from proxy.config.load import load
from proxy.control.segments import OwnSegments
from proxy.process.source import Source
from proxy.process.worker import Worker
from proxy.runtime import state
from proxy.server.connection import ClientConnection
from proxy.telemetry.sink import Sink
from proxy.upstream.connection import Owner, UpstreamConnection
from proxy.upstream.endpoint import Endpoint
from proxy.wire.deadlines import Deadlines
from proxy.wire.turn import Turn
from tests.benchmarks.origin import BODY, answer
from tests.benchmarks.requests import BROWSER, POST, SEQUENCE, SMALL, unique

CONFIGURATION: Final[dict[str, Any]] = {
    "admin": {"listen": None},
    "telemetry": {"log": {"format": "json"}},
    "upstreams": {"origin": "http://127.0.0.1:9"},
    "policies": {"rate_limit": {"limit": "1000000/s", "burst": 1_000_000, "key": "client_ip"}},
}
"""What `make bench` measures: the policies that are on by default, and a local rate limit."""

WORKLOADS: Final = {"small GET": SMALL, "browser GET": BROWSER, "POST of 10 KiB": POST}
"""What is forwarded."""


class Case(NamedTuple):
    """A workload with the configuration that answers it, and the status of its answers."""

    request: bytes
    configuration: dict[str, Any] = CONFIGURATION
    status: int = 200


_POLICIES: Final = CONFIGURATION["policies"]
CASES: Final = {
    **{name: Case(request) for name, request in WORKLOADS.items()},
    "refusal, 429": Case(
        SMALL, {**CONFIGURATION, "policies": {"rate_limit": {"limit": "1/day"}}}, 429
    ),
    "answer from the cache": Case(
        SMALL, {**CONFIGURATION, "policies": {**_POLICIES, "cache": True}}
    ),
    "small GET, two endpoints": Case(
        SMALL,
        {
            **CONFIGURATION,
            "upstreams": {"origin": {"endpoints": ["http://127.0.0.1:9", "http://127.0.0.2:9"]}},
        },
    ),
    "small GET, a miss": Case(
        # Others are stored in place of what was, as in a cache that has run for a while.
        unique(SMALL),
        {**CONFIGURATION, "policies": {**_POLICIES, "cache": True}, "cache": {"memory": "1MiB"}},
    ),
}
"""What is forwarded, and what Sidegate answers by itself."""

# So long a cache may keep what the service of paper answers: its answers bear an old date.
_MAX_AGE: Final = 2_000_000_000


class _Paper(asyncio.Transport):
    """The least of a transport that a connection asks for."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 50000) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return None

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        return None

    def resume_reading(self) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        return None

    def abort(self) -> None:
        return None


class _Service(_Paper):
    """Answers each request in the loop's next turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, body: bytes) -> None:
        super().__init__()
        self._loop = loop
        self._answer = answer(body, _MAX_AGE)
        self.connection: UpstreamConnection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._loop.call_soon(self.connection.data_received, self._answer)


class _Client(_Paper):
    """Asks again in the loop's next turn, for as long as the pipeline runs."""

    _numbers = itertools.count()

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline
        self.connection: ClientConnection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._pipeline.answered(bytes(data)):
            self.ask()

    def ask(self) -> None:
        """Send a request, which has its number wherever one is to stand."""
        request = self._pipeline.request
        if self._pipeline.numbered:
            request = request.replace(SEQUENCE, b"%016d" % next(self._numbers))
        self._pipeline.loop.call_soon(self.connection.data_received, request)


class Pipeline:
    """A worker with so many client connections. request: what each of them sends."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        folder: Path,
        configuration: dict[str, Any],
        connections: int = 64,
        body: bytes = BODY,
    ) -> None:
        self.loop = loop
        self.request = SMALL
        self.numbered = False
        self._body = body
        self._to_ask = 0
        self._to_answer = 0
        self._done: asyncio.Future[None] | None = None
        file = folder / "sidegate.yaml"
        file.write_text(yaml.safe_dump(configuration))
        source = Source(lambda: load(file, environ={}), load_catalog())
        self._null = os.open(os.devnull, os.O_WRONLY)
        self._sink = Sink(self._null)
        self._worker = Worker(loop, self._sink, OwnSegments(), source.first)
        listener = self._worker._listener("http", "8080")
        self._clients = [_Client(self) for _ in range(connections)]
        for client in self._clients:
            client.connection = ClientConnection(listener)
            client.connection.connection_made(client)
        self.last = b""

    async def run(self, requests: int, request: bytes = SMALL, status: int = 200) -> None:
        """Have so many requests answered. Raises ValueError when the last has another status."""
        clients = self._clients[:requests]
        self.request = request
        self.numbered = SEQUENCE in request
        self._to_ask, self._to_answer = requests - len(clients), requests
        self._done = self.loop.create_future()
        with _paper_service(self.loop, self._body):
            for client in clients:
                client.ask()
            await self._done
        if not self.last.startswith(b"HTTP/1.1 %d " % status):
            raise ValueError(f"answered {self.last[:60]!r}")

    def answered(self, data: bytes) -> bool:
        """An answer came; whether its client is to ask again."""
        self.last = data
        self._to_answer -= 1
        if self._to_answer == 0 and self._done is not None:
            self._done.set_result(None)
        if self._to_ask == 0:
            return False
        self._to_ask -= 1
        return True

    def close(self) -> None:
        """Let go of everything."""
        self._worker.close()
        self._sink.close()
        os.close(self._null)


@contextlib.contextmanager
def _paper_service(loop: asyncio.AbstractEventLoop, body: bytes) -> Iterator[None]:
    """Connections to upstreams lead to a service of paper."""

    async def open_(
        endpoint: Endpoint,
        owner: Owner,
        loop: asyncio.AbstractEventLoop,
        clock: Any,
        deadlines: Deadlines,
        turn: Turn,
    ) -> UpstreamConnection:
        times = endpoint.timeouts
        service = _Service(loop, body)
        connection = UpstreamConnection(
            loop, clock, deadlines, turn, owner, times.response, times.body_idle
        )
        service.connection = connection
        connection.connection_made(service)
        return connection

    with mock.patch.object(state, "open_connection", open_):
        yield
