"""A worker in a process of its own: what the supervisor starts, and directs over a line.

`python -m proxy.process.child LINE VAULT NUMBER`, with two descriptors and its number. It
heeds no signal, since terminals and service managers send theirs to every process of a
group: the supervisor says when to stop. When the supervisor is gone it drains and ends.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from typing import Any, Final

import uvloop

from proxy.catalog import load_catalog
from proxy.config.load import Document
from proxy.config.problems import ConfigError
from proxy.control.channel import Descriptor
from proxy.control.line import Line, Unanswered
from proxy.control.segments import HandedSegments, SegmentError
from proxy.process.counts import open_ledger
from proxy.process.crash import flush_on_crash
from proxy.process.heap import settle_heap
from proxy.process.source import Generation
from proxy.process.worker import Worker
from proxy.runtime.plan import make_plan
from proxy.server.ports import Share
from proxy.telemetry.sink import FLUSH_SECONDS, Sink

_COLLECT_SECONDS: Final = 1.0
_SIGNALS: Final = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip


class Child:
    """What the supervisor asks, done with a worker."""

    def __init__(self, loop: asyncio.AbstractEventLoop, line: int, vault: int, number: int) -> None:
        self._loop = loop
        self._number = number
        self._segments = HandedSegments(socket.socket(fileno=vault))
        self._catalog = load_catalog()
        self._sink = Sink(sys.stdout.fileno())
        flush_on_crash(self._sink)
        self._worker: Worker | None = None
        self._opened: dict[str, Share] = {}
        self._ended = asyncio.Event()
        self._draining = False
        self._line = Line(loop, socket.socket(fileno=line), self._orphaned)
        self._flush()

    async def run(self) -> None:
        """Serve until the supervisor says that it is enough."""
        line = self._line
        line.on("beat", lambda _: None)
        line.on("start", self._start)
        line.on("prepare", self._prepare)
        line.on("commit", self._commit)
        line.on("discard", self._discard)
        line.on("adopt", self._adopt)
        line.on("disown", self._disown)
        line.on("close", lambda _: self._served.ports.close())
        line.on("leave", lambda _: self._served.ports.leave())
        line.on("retire", self._retire)
        line.on("drain", self._drain)
        line.on("end", lambda _: self._ended.set())
        try:
            await self._ended.wait()
        finally:
            if self._worker is not None:
                self._worker.close()
            self._line.close()
            self._sink.close()

    @property
    def _served(self) -> Worker:
        if self._worker is None:
            raise RuntimeError("not started")
        return self._worker

    async def ask_all(self, name: str, argument: Any = None) -> list[Any]:
        """The answers of all workers; none when the supervisor doesn't give them."""
        try:
            answers: list[Any] = await self._line.ask("ask_all", (name, argument))
        except Unanswered:
            return []
        return answers

    def tell_others(self, name: str, argument: Any = None) -> None:
        """Let the other workers know."""
        self._line.tell("tell_others", (name, argument))

    async def _start(self, told: dict[str, Any]) -> list[str]:
        """Problems of the configuration; none when requests are served."""
        lock: Descriptor = told["log"]
        self._sink.share(lock.number)
        try:
            self._worker = Worker(
                self._loop,
                self._sink,
                self._segments,
                self._plan(told["document"]),
                number=self._number,
                workers=told["workers"],
                ledger=open_ledger(self._segments, self._number, writer=True),
                colleagues=self,
            )
        except (ConfigError, SegmentError) as error:
            return str(error).splitlines()
        self._worker.journal.exempt(told["levels"])
        for name, handler in self._worker.commands.items():
            self._line.on(name, handler)
        await self._worker.commit(told["shares"])
        self._collect(self._worker)
        settle_heap()
        return []

    def _prepare(self, told: dict[str, Any]) -> list[str]:
        try:
            self._served.prepare(self._plan(told["document"]))
        except (ConfigError, SegmentError) as error:
            return str(error).splitlines()
        self._opened = told["shares"]
        return []

    async def _commit(self, _: None) -> None:
        opened, self._opened = self._opened, {}
        await self._served.commit(opened)

    def _discard(self, _: None) -> None:
        for share in self._opened.values():
            for sock in share.sockets:
                sock.close()
        self._opened = {}
        self._served.discard()

    async def _adopt(self, told: dict[str, Any]) -> None:
        await self._served.ports.adopt(told["worker"], told["shares"])

    def _disown(self, worker: int) -> None:
        self._served.ports.disown(worker)

    async def _retire(self, seconds: float) -> None:
        await self._served.ports.retire(seconds)

    async def _drain(self, seconds: float) -> int:
        self._draining = True
        return await self._served.drain(seconds)

    def _plan(self, document: Document) -> Generation:
        return Generation(document, make_plan(document, self._catalog))

    def _orphaned(self) -> None:
        if self._worker is None or self._draining:
            self._ended.set()
            return
        self._worker.log.error("the supervisor is gone; this worker drains and ends")
        self._drained = self._loop.create_task(self._finish(self._worker))

    async def _finish(self, worker: Worker) -> None:
        await worker.drain(worker.draining.timeout)
        self._ended.set()

    def _collect(self, worker: Worker) -> None:
        """Keep the shared ledger up to date."""
        self._loop.call_later(_COLLECT_SECONDS, self._collect, worker)
        worker.counts.collect()

    def _flush(self) -> None:
        self._loop.call_later(FLUSH_SECONDS, self._flush)
        self._sink.flush()


def main() -> None:
    """Run as a worker of the process that started this one."""
    for ignored in _SIGNALS:
        signal.signal(ignored, signal.SIG_IGN)
    line, vault, number = map(int, sys.argv[1:])

    async def serve() -> None:
        await Child(asyncio.get_running_loop(), line, vault, number).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main()
