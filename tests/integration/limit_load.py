"""Instances with limits in Redis, and clients that ask them without a pause."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.integration.client import connected, request, until
from tests.integration.gateway import Gateway, running


def limited(store: Any, *, deadline: str = "5s", **options: Any) -> dict[str, Any]:
    """A limit for everybody, before an answer of Sidegate's own.

    deadline: for answers of a store that is given by its URL; a busy machine may take longer
    than a user would wait.
    """
    if isinstance(store, str) and store:
        store = {"url": store, "deadline": deadline}
    elif "sentinels" in store or "cluster" in store:
        store = {"deadline": deadline, **store}
    policies = {"rate_limit": {"key": "global", **options}, "respond": 204}
    return {"store": store, "routes": [{"name": "all", "policies": policies}]}


@contextlib.asynccontextmanager
async def instances(
    count: int, folder: Path, config: dict[str, Any], servers: int = 1
) -> AsyncIterator[list[Gateway]]:
    """Some instances of one configuration, once they are connected to their store, which has
    so many `servers`."""
    async with contextlib.AsyncExitStack() as stack:
        started = []
        for number in range(count):
            own = folder / f"instance{number}"
            own.mkdir()
            gateway = await stack.enter_async_context(running(config, own))
            await gateway.lines("the limit store answers", count=servers)
            started.append(gateway)
        yield started


@contextlib.asynccontextmanager
async def sharing(config: dict[str, Any], folder: Path, servers: int = 1) -> AsyncIterator[Gateway]:
    """One instance, as `instances` gives several."""
    async with instances(1, folder, config, servers) as [gateway]:
        yield gateway


class Load:
    """Clients that ask again as soon as they are answered. statuses: how often each came."""

    def __init__(self, url: str, clients: int = 16) -> None:
        self.statuses: Counter[int] = Counter()
        self._url = url
        self._clients = clients
        self._over = asyncio.Event()

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.ensure_future(self._ask()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._tasks)

    @property
    def answered(self) -> int:
        """Requests that have got an answer; each of the others fails the test."""
        return sum(self.statuses.values())

    async def some_more(self, count: int = 200) -> None:
        """Wait until so many more are answered."""
        wanted = self.answered + count
        await until(lambda: self.answered >= wanted, "so many answers")

    async def _ask(self) -> None:
        async with connected(self._url) as wire:
            while not self._over.is_set():
                await wire.send(request())
                self.statuses[(await wire.answer()).status] += 1


async def ask_times(url: str, times: int, clients: int = 8) -> Counter[int]:
    """The statuses of so many requests, spread over some clients."""
    statuses: Counter[int] = Counter()

    async def ask(count: int) -> None:
        async with connected(url) as wire:
            for _ in range(count):
                await wire.send(request())
                statuses[(await wire.answer()).status] += 1

    share, more = divmod(times, clients)
    await asyncio.gather(*(ask(share + (number < more)) for number in range(clients)))
    return statuses


async def counted(gateway: Gateway, name: str, **labels: str) -> float:
    """The sum of a counter's series that have these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        value
        for series, value in (await gateway.metrics()).items()
        if series.startswith(name) and all(label in series for label in wanted)
    )
