"""A load that asks at its own pace: `python -m tests.benchmarks.pace PORT RATE SECONDS COUNT`.

wrk asks again when it was answered, so a proxy that is slow for a moment is asked less in it,
and what its users would have waited isn't seen. Here requests fall due at random (a Poisson
process, the same for every proxy), wait for one of COUNT connections if all are taken, and
their latency counts from when they were due. It prints what it counted as one JSON line; what
it adds itself is seen by asking the origin directly.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import sys
import time
from array import array
from collections import deque
from random import Random
from typing import Final, NamedTuple

from tests.benchmarks.load import PATIENCE, finish
from tests.benchmarks.origin import BODY
from tests.benchmarks.requests import SMALL

# How long answers may take after the last request was sent.
_PATIENCE: Final = 2.0


class Pace(NamedTuple):
    """What was counted. rate: requests a second. p50, p99, late: see `figures.Paced`. failed:
    requests without an answer, or with another one. busy: share of its core that it used."""

    rate: float
    p50: float
    p99: float
    late: float
    failed: int
    busy: float


def run_pace(port: int, core: int, rate: float, seconds: float, connections: int) -> Pace:
    """Ask in a process of its own, on its core. Raises RuntimeError when that fails."""
    arguments = (str(port), f"{rate:.0f}", f"{seconds:g}", str(connections))
    module = (sys.executable, "-m", "tests.benchmarks.pace")
    done = finish(("taskset", "-c", str(core), *module, *arguments), os.environ, seconds + PATIENCE)
    if done.returncode:
        raise RuntimeError(f"the load failed: {done.stderr.strip()}")
    return Pace(**json.loads(done.stdout))


def due_times(rate: float, seconds: float) -> array[float]:
    """When each request falls due, in seconds from the beginning."""
    random = Random(7)
    times = array("d")
    due = random.expovariate(rate)
    while due < seconds:
        times.append(due)
        due += random.expovariate(rate)
    return times


def percentile(values: array[float], share: float) -> float:
    """The value that so many of all are at most; 0 for none."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else 0.0


class Client:
    """Sends what is due over its connections, and notes how long each answer took."""

    def __init__(self, port: int, connections: int) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(connections):
            opened = socket.create_connection(("127.0.0.1", port))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The proxy opens its own connections now, and not while it is measured.
            opened.sendall(SMALL)
            while not opened.recv(65536).endswith(BODY):
                pass
            opened.setblocking(False)
            self._sockets[opened.fileno()] = opened
            self._epoll.register(opened.fileno(), select.EPOLLIN)
        self._idle = list(self._sockets)
        self._asked: dict[int, float] = {}
        self._waiting: deque[float] = deque()
        self.failed = 0
        self.latencies, self.lateness = array("d"), array("d")

    def run(self, times: array[float]) -> None:
        """Ask at these times."""
        began = time.perf_counter()
        place, count = 0, len(times)
        while place < count or self._asked or self._waiting:
            now = time.perf_counter() - began
            while place < count and times[place] <= now:
                self._waiting.append(times[place])
                place += 1
            while self._waiting and self._idle:
                due = self._waiting.popleft()
                number = self._idle.pop()
                self._asked[number] = due
                self._sockets[number].send(SMALL)
                self.lateness.append(time.perf_counter() - began - due)
            if place < count:
                # Of all ways to wait, epoll's own knows but milliseconds.
                select.select([self._epoll], [], [], max(times[place] - now, 0.0))
                events = self._epoll.poll(0)
            else:
                events = self._epoll.poll(_PATIENCE)
                if not events:
                    break
            now = time.perf_counter() - began
            for number, _ in events:
                self._read(number, now)
        self.failed += len(self._asked) + len(self._waiting)

    def _read(self, number: int, now: float) -> None:
        data = self._sockets[number].recv(65536)
        if not data.endswith(BODY):
            # Heads and bodies of this size come in one piece.
            self.failed += 1
            self._epoll.unregister(number)
            del self._asked[number]
            return
        self.latencies.append(now - self._asked.pop(number))
        self._idle.append(number)


def main(port: int, rate: float, seconds: float, connections: int) -> None:
    """Ask, and print what was counted."""
    client = Client(port, connections)
    times = due_times(rate, seconds)
    gc.disable()
    before = time.process_time()
    client.run(times)
    print(
        json.dumps(
            Pace(
                rate=len(times) / seconds,
                p50=percentile(client.latencies, 0.5) * 1e3,
                p99=percentile(client.latencies, 0.99) * 1e3,
                late=percentile(client.lateness, 0.99) * 1e3,
                failed=client.failed,
                busy=(time.process_time() - before) / seconds,
            )._asdict()
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
