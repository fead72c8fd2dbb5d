"""Pages that are in the cache before anybody asked for them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.integration.client import ask, request
from tests.integration.gateway import Gateway, running
from tests.integration.origins import RawOrigin


class Shop:
    """A service whose sitemap lists so many pages. asked: how often each was asked for. most:
    how many at once."""

    def __init__(self, pages: int) -> None:
        self.asked: dict[str, int] = {}
        self.most = 0
        self._now = 0
        self._map = "".join(f"<loc>http://service.test/{number}</loc>" for number in range(pages))

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            self.asked[path] = self.asked.get(path, 0) + 1
            self._now += 1
            self.most = max(self.most, self._now)
            await asyncio.sleep(0.005)
            self._now -= 1
            body = self._map.encode() if path == "/sitemap.xml" else b"page"
            writer.write(
                b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )


async def warmed(gateway: Gateway) -> dict[str, object]:
    """What the log says, once a round is over."""
    [line] = await gateway.lines("cache warmed")
    return {name: line[name] for name in ("urls", "fetched", "fresh", "failed", "given_up")}


async def test_clients_find_what_was_fetched_ahead(tmp_path: Path) -> None:
    shop = Shop(30)
    async with RawOrigin(shop) as origin:
        config = {
            "upstreams": {"app": {"endpoints": [origin.url], "pool": {"size": 30}}},
            "cache": {
                "warm": {
                    "urls": "http://service.test/start",
                    "sitemap": "http://service.test/sitemap.xml",
                }
            },
            "policies": {"cache": True},
        }
        async with running(config, tmp_path) as gateway:
            assert await warmed(gateway) == {
                "urls": 31, "fetched": 31, "fresh": 0, "failed": 0, "given_up": 0,
            }  # fmt: skip
            assert shop.most <= 3
            for path in ("/start", "/0", "/29"):
                answer = await ask(gateway.url, request("GET", path))
                assert answer.headers["cache-status"].startswith("Sidegate; hit")
            assert set(shop.asked.values()) == {1}
            [worker] = (await gateway.page("/cache"))["workers"]
            assert (worker["warming"]["fetched"], worker["warming"]["done"]) == (31, True)
            metrics = await gateway.metrics()
            assert metrics['sidegate_cache_warmed_total{outcome="fetched"}'] == 31
            # Whoever fetches ahead is no client, and takes no part in the hit ratio.
            counts = {
                outcome: metrics[
                    f'sidegate_cache_requests_total{{outcome="{outcome}",route="default"}}'
                ]
                for outcome in ("hit", "miss")
            }
            assert counts == {"hit": 3, "miss": 0}


async def test_behind_trusted_proxies_their_clients_find_it(tmp_path: Path) -> None:
    shop = Shop(0)
    async with RawOrigin(shop) as origin:
        config = {
            "server": {"trusted_proxies": ["127.0.0.1"]},
            "upstreams": {"app": origin.url},
            "cache": {"warm": {"urls": "https://service.test/start"}},
            "policies": {"cache": True},
        }
        async with running(config, tmp_path) as gateway:
            await warmed(gateway)
            answer = await ask(
                gateway.url,
                request(
                    "GET", "/start", x_forwarded_for="192.0.2.1",
                    x_forwarded_proto="https", x_forwarded_port="443",
                ),
            )  # fmt: skip
            assert answer.headers["cache-status"].startswith("Sidegate; hit")
            assert shop.asked == {"/start": 1}
