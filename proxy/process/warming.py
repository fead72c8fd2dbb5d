"""Pages that are fetched so that the cache has them before anybody asks.

May live here: which pages, when, how many at once, and what came of it. Must not live here:
what is stored and for how long (`policies/cache`), what a sitemap says (`content`).

A page takes its route like a client's request, with all policies; what is stored is then
what clients are going to look for. It is neither counted as traffic nor logged as access.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from proxy.body import Body, gather
from proxy.config.cache import Warming
from proxy.config.model import Config
from proxy.content.sitemap import read_sitemap
from proxy.contract import AHEAD, PRIORITIES, PRIORITY, Counter, Log, Metrics, Request, Response
from proxy.errors import GatewayError
from proxy.http1.forwarding import direct_client
from proxy.http1.headers import Headers, encode
from proxy.http1.target import read_target
from proxy.runtime.gateway import Gateway

_PEER: Final = "127.0.0.1"
_PORTS: Final = {"http": "80", "https": "443"}
_FAILURES: Final = (GatewayError, TimeoutError, ValueError)
_PATIENCE: Final = 60.0
_SITEMAP_BYTES: Final = 50 * 1024 * 1024
_SITEMAPS_MAX: Final = 1000
# A service that fails so often in a row is left alone until the next round.
_FAILURES_MAX: Final = 10
_TELL_SECONDS: Final = 10.0
# URLs whose routes are looked up in one go.
_STRIDE: Final = 50

# What the cache made of a request, in words for operators.
_OUTCOMES: Final = {
    "miss": "fetched", "revalidated": "fetched", "shared": "fetched", "hit": "fresh",
    "stale": "fresh", "bypass": "uncached",
}  # fmt: skip


@dataclass(slots=True)
class Progress:
    """What became of the pages of one round.

    urls: all of them. fetched: those that the service was asked for. fresh: were stored already.
    uncached: no cache is on their way. failed: have no answer, or an error. given_up: weren't
    asked for, since the service failed again and again. done: the round is over.
    """

    urls: int = 0
    fetched: int = 0
    fresh: int = 0
    uncached: int = 0
    failed: int = 0
    given_up: int = 0
    done: bool = False


class Warmer:
    """Fetches the pages of the configuration in use. spawn: runs a task. log: of that
    configuration."""

    def __init__(
        self,
        clock: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        metrics: Metrics,
        log: Callable[[], Log],
    ) -> None:
        self._clock = clock
        self._spawn = spawn
        self._metrics = metrics
        self._log = log
        self._options = Warming()
        self._gateway: Gateway
        self._config: Config
        self._task: asyncio.Task[None] | None = None
        self._counters: dict[str, Counter] = {}
        self._told = 0.0
        self.progress: Progress | None = None

    def use(self, gateway: Gateway, config: Config) -> None:
        """From now on ask this gateway, for what this configuration wants."""
        self._gateway, self._config = gateway, config
        options = config.cache.warm
        if options == self._options:
            return
        self._options = options
        self.stop()
        self.progress = None
        if options.wanted:
            self._task = self._spawn(self._work(options))

    def stop(self) -> None:
        """Fetch no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def facts(self) -> dict[str, Any] | None:
        """What an operator is told of the latest round; None when there was none."""
        return None if self.progress is None else asdict(self.progress)

    async def _work(self, options: Warming) -> None:
        if options.on_start:
            await self._round(options)
        while options.every is not None:
            await asyncio.sleep(options.every)
            await self._round(options)

    async def _round(self, options: Warming) -> None:
        began = self._told = self._clock()
        progress = self.progress = Progress()
        lanes = await self._lanes(await self._listed(options))
        progress.urls = sum(map(len, lanes.values()))
        await asyncio.gather(
            *(
                self._drain(lane, progress)
                for upstream, lane in lanes.items()
                for _ in range(self._room(upstream))
            )
        )
        progress.given_up = sum(map(len, lanes.values()))
        progress.done = True
        seconds = round(self._clock() - began, 3)
        self._log().info("cache warmed", seconds=seconds, **asdict(progress))

    async def _listed(self, options: Warming) -> list[str]:
        """The URLs of a round, each once."""
        found = dict.fromkeys(options.urls)
        sitemaps, read = list(options.sitemap), 0
        while sitemaps and len(found) < options.most and read < _SITEMAPS_MAX:
            url = sitemaps.pop(0)
            read += 1
            data = await self._sitemap(url)
            if data is None:
                self._log().warning("sitemap can't be read", url=url)
                continue
            sitemap = read_sitemap(data, _SITEMAP_BYTES)
            found.update(dict.fromkeys(sitemap.pages))
            if url in options.sitemap:
                sitemaps += sitemap.sitemaps
        return list(found)[: options.most]

    async def _sitemap(self, url: str) -> bytes | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                _, response = await self._fetch(url)
                body = await gather(response.body, _SITEMAP_BYTES)
        except _FAILURES:
            return None
        return body if response.status == 200 else None

    async def _lanes(self, urls: list[str]) -> dict[str, deque[str]]:
        """The URLs by the upstream that they lead to."""
        lanes: dict[str, deque[str]] = {}
        for number, url in enumerate(urls, 1):
            if number % _STRIDE == 0:
                await asyncio.sleep(0)
            upstream = ""
            # What fails here fails again in its turn, and is counted then.
            with contextlib.suppress(GatewayError, ValueError):
                upstream = self._gateway.resolve(self._request(url)).info.upstream
            lanes.setdefault(upstream, deque()).append(url)
        return lanes

    def _room(self, upstream: str) -> int:
        """How many connections to an upstream may be taken."""
        options = self._config.upstreams.get(upstream)
        if options is None:
            return 1
        size = options.pool.size * max(1, len(options.endpoints))
        return max(1, min(self._options.concurrency, int(size * self._options.share)))

    async def _drain(self, lane: deque[str], progress: Progress) -> None:
        """Ask for one after another, until all are done or the service fails too often."""
        failures = 0
        while lane and failures < _FAILURES_MAX:
            outcome = await self._ask(lane.popleft())
            failures = failures + 1 if outcome == "failed" else 0
            setattr(progress, outcome, getattr(progress, outcome) + 1)
            self._count(outcome)
            now = self._clock()
            if now - self._told >= _TELL_SECONDS:
                self._told = now
                self._log().info("cache warming", **asdict(progress))

    async def _ask(self, url: str) -> str:
        """What came of a page, as a field of `Progress`."""
        try:
            async with asyncio.timeout(_PATIENCE):
                request, response = await self._fetch(url)
                await self._read(response.body)
        except _FAILURES:
            return "failed"
        if response.status >= 400:
            return "failed"
        decided = [each.outcome for each in request.decisions if each.policy == "cache"]
        return _OUTCOMES.get(decided[-1], "uncached") if decided else "uncached"

    async def _fetch(self, url: str) -> tuple[Request, Response]:
        """Ask for a URL. Raises one of `_FAILURES`."""
        request = self._request(url)
        try:
            return request, await self._gateway.resolve(request).handler(request)
        except _FAILURES:
            raise
        except Exception as error:
            self._gateway.unexpected(request, error)
            raise GatewayError("internal_error") from None

    async def _read(self, body: Body) -> None:
        """Read a body to its end, as far as it can be stored."""
        if isinstance(body, bytes):
            return
        left = self._config.cache.object
        try:
            async for piece in body:
                left -= len(piece)
                if left < 0:
                    break
        finally:
            await body.aclose()

    def _request(self, url: str) -> Request:
        """A request for a URL. Raises GatewayError or ValueError for what is none."""
        parts = urlsplit(url)
        scheme, authority, host = parts.scheme, parts.netloc, parts.hostname
        if scheme not in _PORTS or host is None:
            raise ValueError("it has no host")
        settings = self._config.server
        port = str(parts.port or _PORTS[scheme])
        client = direct_client(_PEER, scheme, authority, port, settings.forwarded)
        raw = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        target = read_target(raw, "GET", settings.paths)
        request = Request(
            "GET", target.target, target.path, target.query, self._fields(), scheme=scheme,
            host=host, authority=authority, peer=_PEER, client_ip=_PEER,
            # Where clients come through trusted proxies, what those say is part of the key.
            trusted=bool(settings.trusted_proxies), received=self._clock(),
        )  # fmt: skip
        request.forwarded = client.lines
        request.state[AHEAD] = True
        request.state[PRIORITY] = PRIORITIES.index("low")
        return request

    def _fields(self) -> Headers:
        options = self._options
        # What runs out before the next round is fetched anew now.
        seconds = 0 if options.every is None else int(options.every)
        fields = {
            "User-Agent": "Sidegate",
            "Accept": "*/*",
            **options.headers,
            "Cache-Control": f"min-fresh={seconds}",
        }
        return Headers([(name.encode("ascii"), encode(text)) for name, text in fields.items()])

    def _count(self, outcome: str) -> None:
        counter = self._counters.get(outcome)
        if counter is None:
            counter = self._counters[outcome] = self._metrics.counter(
                "sidegate_cache_warmed_total",
                "Pages that were asked for before any client did, by what came of it.",
                outcome=outcome,
            )
        counter.inc()
