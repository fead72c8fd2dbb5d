"""A bench for faults: real services in processes of their own, a proxy, and a steady load."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.integration.client import until
from tests.integration.ports import free_port
from tests.integration.process import Process, process

SCRIPT: Final = Path(__file__).parent / "faulty.py"
PATIENCE: Final = 60.0


class Endpoint:
    """A service that fails as it is told, on a port that it keeps. url: its address."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again, and wait until it accepts connections."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it."""
        self._process = subprocess.Popen([sys.executable, "-S", str(SCRIPT), str(self.port)])

    def wait(self) -> None:
        """Return when it accepts connections."""
        late = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert self._process is not None
            assert self._process.poll() is None, "the service did not start"
            assert time.monotonic() < late, "the service does not accept connections"
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once, as a machine that fails."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def behave(self, mode: str) -> None:
        """From now on: see `faulty`."""
        self._control("POST", f"/_mode/{mode}")

    @property
    def asked(self) -> int:
        """Requests so far, since it was started."""
        count: int = self._control("GET", "/_seen")["asked"]
        return count

    @property
    def seen(self) -> dict[str, int]:
        """How often it was asked, by the number that the client gave a request."""
        numbers: dict[str, int] = self._control("GET", "/_seen")["seen"]
        return numbers

    @property
    def most(self) -> int:
        """Requests that it had to do at once, at most, since it was told to forget."""
        count: int = self._control("GET", "/_seen")["most"]
        return count

    def forget(self) -> None:
        """Count anew how many requests there are at once."""
        self._control("POST", "/_forget")

    def _control(self, method: str, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextlib.contextmanager
def endpoints(count: int) -> Iterator[list[Endpoint]]:
    """So many services."""
    services = [Endpoint() for _ in range(count)]
    try:
        for service in services:
            service.launch()
        for service in services:
            service.wait()
        yield services
    finally:
        for service in services:
            service.kill()


@contextlib.contextmanager
def bench(
    count: int, folder: Path, upstream: dict[str, Any] | None = None, **config: Any
) -> Iterator[tuple[list[Endpoint], Process]]:
    """So many services, and a proxy before them in a process of its own."""
    with endpoints(count) as services:
        options = {"endpoints": [service.url for service in services], **(upstream or {})}
        telemetry = {"log": {"access": False}}
        settings = {"upstreams": {"service": options}, "telemetry": telemetry, **config}
        with process(settings, folder) as proxy:
            yield services, proxy


@dataclass
class Outcome:
    """What clients saw. statuses: by status, 0 for a connection that broke. seconds: of those
    that were answered with 200. failed: numbers of those that weren't."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """Requests that weren't answered with 200."""
        return self.statuses.total() - self.statuses[200]

    def percentile(self, part: float) -> float:
        """Seconds that this part of the requests stayed within."""
        return sorted(self.seconds)[int(part * (len(self.seconds) - 1))]


class Load:
    """Requests at a steady rate over kept connections, until it is told to stop.

    A request is sent when it is due, whether or not others are still waiting, as long as one of
    `clients` connections is free.
    """

    def __init__(
        self, port: int, rate: float, clients: int = 64, method: str = "GET", path: str = "/"
    ) -> None:
        self._port = port
        self._rate = rate
        self._clients = clients
        self._method = method
        self._path = path
        self._number = 0
        self._stop = asyncio.Event()
        self.outcome = Outcome()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Outcome]:
        """Run beside what the test does."""
        started = asyncio.get_running_loop().time()
        tasks = [asyncio.ensure_future(self._client(started)) for _ in range(self._clients)]
        try:
            yield self.outcome
        finally:
            self._stop.set()
            await asyncio.gather(*tasks)

    async def until(self, count: int) -> None:
        """Wait until so many requests more have been answered."""
        wanted = self.outcome.statuses.total() + count
        await until(lambda: self.outcome.statuses.total() >= wanted)

    async def _client(self, started: float) -> None:
        loop = asyncio.get_running_loop()
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self._stop.is_set():
            number, self._number = self._number, self._number + 1
            await asyncio.sleep(started + number / self._rate - loop.time())
            if self._stop.is_set():
                break
            began = loop.time()
            status = 0
            try:
                if streams is None:
                    streams = await asyncio.open_connection("127.0.0.1", self._port)
                status = await self._ask(*streams, number)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            self.outcome.statuses[status] += 1
            if status == 200:
                self.outcome.seconds.append(loop.time() - began)
            else:
                self.outcome.failed.append(number)
            if status == 0 and streams is not None:
                streams[1].close()
                streams = None
        if streams is not None:
            streams[1].close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> int:
        body = b"x" if self._method == "POST" else b""
        length = b"Content-Length: 1\r\n" if body else b""
        writer.write(
            b"%b %b HTTP/1.1\r\nHost: a\r\nX-Number: %d\r\n%b\r\n%b"
            % (self._method.encode(), self._path.encode(), number, length, body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        fields = head.lower()
        start = fields.index(b"content-length: ") + 16
        await reader.readexactly(int(fields[start : fields.index(b"\r\n", start)]))
        return int(head[9:12])
