"""A cache before a service that says what a test tells it to, on a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from proxy.contract import Body, Request, Response, Target
from proxy.errors import GatewayError
from proxy.http1.date import show_date
from proxy.policies.cache.options import Options
from proxy.policies.cache.policy import build
from proxy.runtime.chain import BoundPolicy, bind
from proxy.store.purge import Purge
from proxy.store.purges import Purges, Verdict
from proxy.store.trove import Trove
from tests.unit.asking import Ask, Prompt, by_waiting
from tests.unit.policies.world import World, a_request, upstream_response

Reply = Response | GatewayError | Callable[[Request], Response]

FRESH: Final = ("Cache-Control", "max-age=60")
URL: Final = "http://shop.example/a/b"


class Stage:
    """One cache policy and its service.

    depot: what it shares with the stage that it stands beside, whose clock it has. replies:
    what the service answers, in turn; the last one again and again. asked: the requests that
    it got. gate: when it is there, the service answers no sooner than it is set. took: seconds
    that each answer takes. asking: in which way it is asked, `way` unless said otherwise.
    """

    way: Ask = staticmethod(by_waiting)

    def __init__(
        self,
        *replies: Reply,
        depot: CommonDepot | None = None,
        beside: Stage | None = None,
        asking: Ask | None = None,
        **options: Any,
    ) -> None:
        self.asking = asking or Stage.way
        self.world: World = World() if beside is None else beside.world
        trove = self.world.trove if beside is None else self.world.trove.phantom()
        if depot is not None:
            depot.join(self.world, trove)
        self.trove = trove
        self.replies: list[Reply] = list(replies) or [reply(200, FRESH)]
        self.asked: list[Request] = []
        self.gate: asyncio.Event | None = None
        self.took = 0.0
        self.tasks: set[asyncio.Task[None]] = set()
        self.toolkit = replace(
            self.world.toolkit,
            spawn=self._spawn,
            identity="cache/shop/{}",
            target=Target("app", False),
            trove=trove,
            depot=depot,
        )
        self.policy(**options)

    def policy(self, **options: Any) -> None:
        """Put a cache of these options in place of the present one, before the same memory."""
        read = Options.model_validate(options)
        bound = BoundPolicy("cache", read.mode, build(read, self.toolkit))
        serve = self._serve if self.asking is by_waiting else Prompt(self._serve)
        self._handler = bind([bound], serve)

    async def ask(self, target: str = "/a/b", *fields: tuple[str, str], **more: Any) -> Response:
        """The response to a request."""
        return await self.send(a_request(target, *fields, **more))

    async def send(self, request: Request) -> Response:
        """The response to a request."""
        return await self.asking(self._handler, request)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.now += seconds
        self.world.wall += seconds

    async def settle(self) -> None:
        """Let what goes on in the background come to its end."""
        while self.tasks:
            await asyncio.gather(*self.tasks, return_exceptions=True)
            # From 3.12 on, those that have ended already give no other its turn.
            await asyncio.sleep(0)

    def date(self, seconds: float = 0.0) -> str:
        """A date so many seconds from now."""
        return show_date(self.world.wall + seconds).decode()

    def count(self, name: str, *labels: str) -> float:
        """A counter of the cache, by its name without prefix."""
        return self.world.journal.counts[f"sidegate_cache_{name}_total", *labels].value

    async def _serve(self, request: Request) -> Response:
        self.asked.append(request)
        if self.gate is not None:
            await self.gate.wait()
        self.wait(self.took)
        turn = self.replies[min(len(self.asked), len(self.replies)) - 1]
        if isinstance(turn, GatewayError):
            raise turn
        if isinstance(turn, Response):
            return turn.copy()
        return turn(request)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class CommonDepot:
    """What stages share, in one place. troves: theirs, which forget what is purged."""

    world: World
    object_limit = 1024 * 1024
    compress_from = 64

    def __init__(self) -> None:
        self.purges = Purges("epoch", 0)
        self.troves: list[Trove] = []
        self.values: dict[tuple[str, str], tuple[bytes, float]] = {}
        self.away = False

    def join(self, world: World, trove: Trove) -> None:
        """Be the depot of this trove as well."""
        self.world = world
        self.troves.append(trove)
        trove.depot = self

    @property
    def mark(self) -> str:
        return "" if self.away else self.purges.mark

    def judge(self, mark: str, url: str, tags: Sequence[str]) -> Verdict:
        return self.purges.judge(mark, url, tags)

    async def spread(self, purge: Purge, name: str = "") -> bool:
        self.purges.add(self.purges.number + 1, purge)
        for trove in self.troves:
            await trove.purge(purge)
        return True

    def forget(self, urls: Sequence[str]) -> None:
        for url in urls:
            self.purges.add(self.purges.number + 1, Purge("url", url))
            for trove in self.troves:
                trove.forgotten([url])

    async def find(self, url: str, names: Sequence[str]) -> list[bytes | None]:
        await asyncio.sleep(0)
        found = (self.values.get((url, name)) for name in names)
        return [None if one is None or one[1] <= self.world.now else one[0] for one in found]

    async def holds(self, url: str, names: Sequence[str]) -> bool:
        return None not in await self.find(url, names)

    async def put(
        self, url: str, values: Mapping[str, bytes], seconds: float, tags: Sequence[str] = ()
    ) -> bool:
        await asyncio.sleep(0)
        for name, value in values.items():
            self.values[url, name] = value, self.world.now + seconds
        return True

    async def prolong(self, url: str, names: Sequence[str], seconds: float) -> bool:
        if not await self.holds(url, names):
            return False
        for name in names:
            self.values[url, name] = self.values[url, name][0], self.world.now + seconds
        return True

    async def claim(self, url: str, name: str, who: str, seconds: float) -> str:
        [holder] = await self.find(url, [name])
        if holder is not None:
            return holder.decode()
        await self.put(url, {name: who.encode()}, seconds)
        return who

    async def release(self, url: str, name: str, who: str) -> None:
        if self.values.get((url, name), (b"", 0.0))[0] == who.encode():
            del self.values[url, name]


def reply(status: int = 200, *fields: tuple[str, str], body: bytes = b"body") -> Response:
    """A response of the service."""
    return upstream_response(status, *fields, body=body)


def streaming(response: Response, *pieces: bytes, error: GatewayError | None = None) -> Reply:
    """A response whose body comes in pieces, and perhaps breaks off."""

    def make(_: Request) -> Response:
        twin = response.copy()
        twin.body = Pieces(*pieces, error=error)
        return twin

    return make


class Pieces:
    """A body in pieces. closed: nobody wanted the rest."""

    def __init__(self, *pieces: bytes, error: GatewayError | None = None) -> None:
        self._pieces = self._walk(pieces, error)
        self.closed = False

    async def _walk(
        self, pieces: tuple[bytes, ...], error: GatewayError | None
    ) -> AsyncIterator[bytes]:
        for piece in pieces:
            await asyncio.sleep(0)
            yield piece
        if error is not None:
            raise error

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        return await self._pieces.__anext__()

    async def aclose(self) -> None:
        self.closed = True


async def read(body: Body) -> bytes:
    """All of a body."""
    return body if isinstance(body, bytes) else b"".join([piece async for piece in body])


def status(response: Response) -> str:
    """What the cache says of itself, without its name."""
    value = response.headers.get("cache-status") or ""
    return value.rpartition("Sidegate; ")[2]


def field(response: Response, key: str) -> str | None:
    """The value of a field."""
    return response.headers.get(key)
