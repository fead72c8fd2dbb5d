"""What instances share of their caches in Redis: values, lists of them by URL and tag, claims.

May live here: names of keys, commands, which are sent without anybody waiting. Must not live
here: what the values are (`policies/cache`), or who has to hear of a purge (`bulletin`).

All that belongs to one URL is in one slot of a cluster. No URL and no tag is readable in the
names of keys. While Redis can't be asked, nothing is found there and nothing kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any, Final

from proxy.config.cache import CacheStore
from proxy.contract import Log, Metrics
from proxy.store.purge import Purge
from proxy.store.purges import Verdict
from proxy.store.redis.access import make_access
from proxy.store.redis.bulletin import Bulletin
from proxy.store.redis.inquiry import Failure, Inquiry, Source, Word, read_lua
from proxy.store.redis.reach import Reach
from proxy.store.redis.topology import slot_of

_INSTEAD: Final = "responses are kept in the memory of each worker alone"
# How long writing may take, of which no request waits.
_WRITE_SECONDS: Final = 2.0
_LISTED_MAX: Final = 100_000
_SHELVE, _PROLONG, _LIST, _DROP, _CLAIM, _RELEASE = (
    Source(read_lua(name)) for name in ("shelve", "prolong", "list", "drop", "claim", "release")
)


class Depot:
    """A `Depot` of the contract, in Redis.

    spawn: runs a task. purge: what a purge does in this process. random: bytes that nobody
    guesses. Raises ValueError for files that can't be used.
    """

    def __init__(
        self,
        options: CacheStore,
        loop: asyncio.AbstractEventLoop,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        purge: Callable[[Purge], Coroutine[Any, Any, int]],
        random: Callable[[int], bytes],
        metrics: Metrics,
        log: Callable[[], Log],
    ) -> None:
        self.loop = loop
        self.deadline = options.deadline
        self.object_limit = options.object
        self.compress_from = options.compress
        self._prefix = f"{options.prefix}:cache:"
        self._spawn = spawn
        self._reach = Reach(
            options,
            "cache store",
            "cache_store",
            "keep things",
            _INSTEAD,
            options.deadline,
            lambda: None,
            loop,
            spawn,
            metrics,
            log,
        )
        self.topology = self._reach.topology
        self._bulletin = Bulletin(
            self._prefix, loop, self.topology, make_access(options), purge, random, self._run,
            self._reach.say,
        )  # fmt: skip
        self.connected = self._bulletin.connected

    def start(self) -> None:
        """Connect, in the background."""
        self.topology.start()
        self._spawn(self._bulletin.read())

    def close(self) -> None:
        """Drop all connections."""
        self._bulletin.close()
        self.topology.close()

    def failed(self, why: Failure, text: str) -> None:
        """A question has got no answer that was of use."""
        self._reach.failed(why, text)

    @property
    def mark(self) -> str:
        """What is asked for now bears it; empty while it isn't known what has been purged."""
        return self._bulletin.mark

    def judge(self, mark: str, url: str, tags: Sequence[str]) -> Verdict:
        """Whether something of this mark is still good."""
        return self._bulletin.judge(mark, url, tags)

    async def spread(self, purge: Purge, name: str) -> bool:
        """Have all instances purge; what is kept here is let go of, where that is quick.

        name: the same for all who are told to spread it, so that it is done once. False:
        Redis can't be asked, and it will be done once it can.
        """
        if not await self._bulletin.announce(purge, self._bulletin.expect(purge, name)):
            return False
        if not purge.soft:
            for url in purge.urls:
                await self._drop(_home(url))
            if purge.kind == "tag":
                await self._drop_tagged(purge.text)
        return True

    def forget(self, urls: Iterable[str]) -> None:
        """Have all instances purge URLs, as far as anything is kept of them here."""
        for url in urls:
            purge = Purge("url", url)
            self._spawn(self._forget(purge, url, self._bulletin.expect(purge, "")))

    async def _forget(self, purge: Purge, url: str, name: str) -> None:
        if self.mark and await self._drop(_home(url)) == 0:
            self._bulletin.dismiss(name)
        else:
            await self._bulletin.announce(purge, name)

    async def find(self, url: str, names: Sequence[str]) -> list[bytes | None]:
        """The values of a URL by these names; None for each that isn't there."""
        home = _home(url)
        keys = [self._key(home, name) for name in names]
        found = await self._ask(home, "MGET", *keys)
        return list(found) if isinstance(found, list) else [None] * len(keys)

    async def holds(self, url: str, names: Sequence[str]) -> bool:
        """All values of these names are there."""
        home = _home(url)
        count = await self._ask(home, "EXISTS", *(self._key(home, name) for name in names))
        return bool(count == len(names))

    async def put(
        self, url: str, values: Mapping[str, bytes], seconds: float, tags: Sequence[str] = ()
    ) -> bool:
        """Keep values of a URL for so long; False if that failed. tags: to drop them by."""
        home = _home(url)
        milliseconds = max(1, round(seconds * 1000))
        # Listed first, so that what is dropped by a tag is all that bears it.
        for tag in tags:
            listed = self._tag(tag)
            await self._run(_LIST, listed, [listed], milliseconds, _LISTED_MAX, home)
        keys = [self._index(home), *(self._key(home, name) for name in values)]
        done = await self._run(_SHELVE, home, keys, milliseconds, *values.values())
        return bool(done == 1)

    async def prolong(self, url: str, names: Sequence[str], seconds: float) -> bool:
        """Keep values for longer, if all of them are there."""
        home = _home(url)
        keys = [self._index(home), *(self._key(home, name) for name in names)]
        done = await self._run(_PROLONG, home, keys, max(1, round(seconds * 1000)))
        return bool(done == 1)

    async def claim(self, url: str, name: str, who: str, seconds: float) -> str:
        """Say who is at something, unless somebody is; who that is now, empty if unknown."""
        home = _home(url)
        key = self._key(home, name)
        words = (_CLAIM, home, [key], who, round(seconds * 1000))
        holder = await self._run(*words, seconds=self.deadline)
        return holder.decode("latin-1") if isinstance(holder, bytes) else ""

    async def release(self, url: str, name: str, who: str) -> None:
        """Give up a claim, if it is still one's own."""
        home = _home(url)
        await self._run(_RELEASE, home, [self._key(home, name)], who)

    async def _drop(self, home: str) -> int | None:
        """Let go of all values of a URL; how many there were, None if that isn't known."""
        count = await self._run(_DROP, home, [self._index(home)])
        return count if isinstance(count, int) else None

    async def _drop_tagged(self, tag: str) -> None:
        listed = self._tag(tag)
        homes = await self._ask(listed, "ZRANGE", listed, 0, -1)
        if isinstance(homes, list):
            await self._ask(listed, "DEL", listed)
            for home in homes:
                await self._drop(home.decode("latin-1"))

    def _key(self, home: str, name: str) -> str:
        return f"{self._prefix}{{{home}}}:{name}"

    def _index(self, home: str) -> str:
        return f"{self._prefix}{{{home}}}"

    def _tag(self, tag: str) -> str:
        return f"{self._prefix}tag:{_home(tag)}"

    async def _run(
        self,
        script: Source,
        home: str,
        keys: Sequence[str],
        *words: Word,
        seconds: float = _WRITE_SECONDS,
    ) -> Any:
        return await self._ask(
            home, len(keys), *keys, *words, script=script, seconds=seconds
        )  # fmt: skip

    async def _ask(
        self, home: str, *words: Word, script: Source | None = None, seconds: float | None = None
    ) -> Any:
        """The answer of the server that has a URL or a tag; None when there is none of use."""
        future: asyncio.Future[Any] = self.loop.create_future()
        settle = partial(_settle, future)
        slot = slot_of(home.encode())
        Inquiry(self, slot, words, settle, partial(settle, None), script, None, seconds).put()
        return await future


def _settle(future: asyncio.Future[Any], answer: Any) -> None:
    if not future.done():
        future.set_result(answer)


@lru_cache(maxsize=4096)
def _home(text: str) -> str:
    """The name of a URL's or a tag's slot."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
