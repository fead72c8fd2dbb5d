"""An instance of one process: its worker is here, and nothing has to be sent anywhere."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from proxy.control.line import ANSWER_SECONDS, Answers
from proxy.control.segments import OwnSegments
from proxy.process.source import Generation
from proxy.process.worker import Worker
from proxy.server.ports import Share
from proxy.server.sockets import Bound
from proxy.telemetry.logs import BoundLogger
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.sink import Sink


class Serving(Protocol):
    """Those who serve, as the instance directs them: a `Solo` or a `Team`.

    counts: the metrics of this process. A new configuration takes effect by `prepare`, which
    may raise ConfigError or Unready, followed by `commit` or `discard`; both get the
    addresses that are new in it.
    """

    counts: Metrics

    @property
    def log(self) -> BoundLogger:
        """Of the configuration in use."""
        ...

    @property
    def ready(self) -> bool:
        """Somebody serves."""
        ...

    async def start(self, generation: Generation, bound: Mapping[str, Bound]) -> None:
        """Serve the first configuration. Raises ConfigError or Unready."""
        ...

    async def prepare(self, generation: Generation, opened: Mapping[str, Bound]) -> None:
        """Build all that another configuration asks for."""
        ...

    async def commit(self) -> None:
        """Serve by it."""
        ...

    async def discard(self) -> None:
        """Stay with the one in use."""
        ...

    async def leave(self) -> None:
        """Have clients go elsewhere: each response closes its connection."""
        ...

    async def retire(self, seconds: float) -> None:
        """Accept no more, and wait for so long until all clients have gone elsewhere."""
        ...

    async def drain(self, seconds: float) -> int:
        """Accept no more, and finish within so many seconds; how many were broken off."""
        ...

    async def close(self) -> None:
        """End at once whatever is left."""
        ...

    async def ask_all(self, name: str, argument: Any = None) -> list[Any]:
        """As `control.line.Crew`."""
        ...

    async def hear_all(
        self, name: str, argument: Any = None, *, seconds: float = ANSWER_SECONDS
    ) -> Answers:
        """The same, with the numbers of the workers, and who didn't answer in time."""
        ...

    async def expose(self, accept: str) -> tuple[str, bytes]:
        """Content type and exposition of all counts, as the Accept field asks."""
        ...


class Unready(Exception):
    """Workers can't serve a configuration. problems: why, one a line. silent: the numbers of
    those that don't answer, where that is why."""

    def __init__(self, problems: list[str], silent: Sequence[int] = ()) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.silent = tuple(silent)


class Solo:
    """The only worker, in this process."""

    counts: Metrics
    worker: Worker

    def __init__(self, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        self._loop = loop
        self._sink = sink
        self._opened: Mapping[str, Bound] = {}

    @property
    def log(self) -> BoundLogger:
        """Of the configuration in use."""
        return self.worker.log

    @property
    def ready(self) -> bool:
        """Always, once it has begun."""
        return True

    async def start(self, generation: Generation, bound: Mapping[str, Bound]) -> None:
        """Serve the first configuration. Raises ConfigError."""
        self.worker = Worker(self._loop, self._sink, OwnSegments(), generation)
        self.counts = self.worker.counts
        await self.worker.commit(_shares(bound))

    async def prepare(self, generation: Generation, opened: Mapping[str, Bound]) -> None:
        """Build all that another configuration asks for. Raises ConfigError."""
        self.worker.prepare(generation)
        self._opened = opened

    async def commit(self) -> None:
        """Serve by it."""
        await self.worker.commit(_shares(self._opened))

    async def discard(self) -> None:
        """Stay with the one in use."""
        self.worker.discard()

    async def leave(self) -> None:
        """Have clients go elsewhere."""
        self.worker.ports.leave()

    async def retire(self, seconds: float) -> None:
        """Accept no more, and wait until all clients have gone elsewhere."""
        await self.worker.ports.retire(seconds)

    async def drain(self, seconds: float) -> int:
        """Accept no more, and finish; how many were broken off."""
        return await self.worker.drain(seconds)

    async def close(self) -> None:
        """End at once whatever is left."""
        if hasattr(self, "worker"):
            self.worker.close()

    async def ask_all(self, name: str, argument: Any = None) -> list[Any]:
        """The answer of the only worker."""
        answer = self.worker.commands[name](argument)
        return [await answer if inspect.isawaitable(answer) else answer]

    async def hear_all(
        self, name: str, argument: Any = None, *, seconds: float = ANSWER_SECONDS
    ) -> Answers:
        """The same, as the answer of worker 1."""
        [answer] = await self.ask_all(name, argument)
        return Answers({1: answer}, [])

    async def expose(self, accept: str) -> tuple[str, bytes]:
        """Content type and exposition; rendered beside the loop, which it would stall."""
        return await self.counts.expose(accept)


def _shares(bound: Mapping[str, Bound]) -> dict[str, Share]:
    """Copies, since a worker closes what it accepts from."""
    return {
        text: Share(tuple(sock.dup() for sock in one.share(0, 1)), one.port)
        for text, one in bound.items()
    }
