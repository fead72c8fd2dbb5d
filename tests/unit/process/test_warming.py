"""Pages that are fetched ahead: which, when, how many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import asdict
from typing import Any

import pytest

from proxy.config.model import Config
from proxy.contract import AHEAD, Request, Response, RouteInfo
from proxy.errors import GatewayError
from proxy.process.warming import Warmer
from proxy.routing.table import Found
from proxy.runtime.chain import bind
from proxy.runtime.failing import raise_failure
from proxy.runtime.gateway import BoundRoute, Gateway
from tests.unit.paused_loop import PausedLoop
from tests.unit.policies.world import Journal

URL = "http://shop.example"
SITEMAP = "".join(f"<loc>{URL}/{number}</loc>" for number in range(40))


class Silent:
    """Nothing is counted of what no client asked for."""

    def finished(self, *_: Any) -> None:
        raise AssertionError("no client asked for anything")


class Site:
    """A service behind a gateway, and the warmer before it.

    seconds: that each answer takes. asked: the paths that were asked for, with the time. most:
    how many at once.
    """

    def __init__(self, answer: Callable[[Request], Response] | None = None) -> None:
        self.loop = PausedLoop()
        self.journal = Journal()
        self.seconds = 1.0
        self.asked: list[tuple[str, float]] = []
        self.requests: list[Request] = []
        self.most = 0
        self._now = 0
        self._answer = answer
        self._tasks: list[asyncio.Task[None]] = []
        self.warmer = Warmer(self.loop.time, self._spawn, self.journal, lambda: self.journal)

    def use(self, **warm: Any) -> None:
        """Use a configuration."""
        config = Config.model_validate({
            "upstreams": {"app": {"endpoints": ["http://127.0.0.1:9"], "pool": {"size": 20}}},
            "cache": {"warm": warm},
        })  # fmt: skip
        handler = bind([], self._serve)
        route = BoundRoute(RouteInfo("shop", "app", "/**"), handler, handler, 0)
        lost = bind([], raise_failure)
        fallback = BoundRoute(RouteInfo("", "", ""), lost, lost, 0)

        def find(request: Request) -> Found[BoundRoute]:
            return Found(route, {})

        self.warmer.use(Gateway(find, fallback, Silent(), self.journal), config)

    def run(self, seconds: float = 1000.0) -> dict[str, Any]:
        """Let time pass; what an operator is told then, apart from what is nothing."""
        self.loop.run(asyncio.sleep(seconds))
        facts = self.warmer.facts()
        return {name: fact for name, fact in (facts or {}).items() if fact}

    @property
    def paths(self) -> list[str]:
        """What was asked for."""
        return [path for path, _ in self.asked]

    def close(self) -> None:
        """End what is still under way."""
        for task in self._tasks:
            task.cancel()
        self.loop.run(asyncio.sleep(0))
        self.loop.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.loop.create_task(work)
        self._tasks.append(task)
        return task

    async def _serve(self, request: Request) -> Response:
        self.asked.append((request.target.decode(), self.loop.time()))
        self.requests.append(request)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self._now -= 1
        if request.path == "/sitemap.xml":
            return Response(200, body=SITEMAP.encode())
        request.decide("cache", "miss")
        return Response(200, body=b"page") if self._answer is None else self._answer(request)


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Any:
    site = Site(getattr(request, "param", None))
    yield site
    site.close()


def test_pages_are_asked_for_as_a_client_would(site: Site) -> None:
    site.use(urls=f"{URL}:8080/a%20b?c=d", headers={"Accept-Encoding": "br"})
    assert site.run() == {"urls": 1, "fetched": 1, "done": True}
    [request] = site.requests
    assert (request.path, request.query) == ("/a b", "c=d")
    assert (request.scheme, request.host, request.authority, request.trusted) == (
        "http", "shop.example", "shop.example:8080", False,
    )  # fmt: skip
    assert b"X-Forwarded-Host: shop.example:8080\r\n" in request.forwarded
    assert b"X-Forwarded-Port: 8080\r\n" in request.forwarded
    assert request.headers.get("accept-encoding") == "br"
    assert AHEAD in request.state
    assert site.warmer.progress is not None
    [told] = site.journal.lines
    assert told == ("info", "cache warmed",
                    {"seconds": 1.0, **asdict(site.warmer.progress)})  # fmt: skip


def test_pages_of_sitemaps_are_asked_for_once(site: Site) -> None:
    site.use(urls=[f"{URL}/7", f"{URL}/z"], sitemap=f"{URL}/sitemap.xml")
    assert site.run()["urls"] == 41
    assert sorted(site.paths) == sorted(["/sitemap.xml", "/z", *map("/{}".format, range(40))])


def test_no_more_than_so_many_urls(site: Site) -> None:
    site.use(sitemap=f"{URL}/sitemap.xml", most=5)
    assert site.run()["fetched"] == 5


@pytest.mark.parametrize(
    ("options", "most"),
    [({}, 2), ({"share": "100%"}, 4), ({"share": "100%", "concurrency": 30}, 20),
     ({"share": "1%"}, 1)],
)  # fmt: skip
def test_a_share_of_the_pool_is_all_that_is_taken(
    options: dict[str, Any], most: int, site: Site
) -> None:
    site.use(sitemap=f"{URL}/sitemap.xml", **options)
    assert site.run()["fetched"] == 40
    assert site.most == most


def test_they_are_asked_for_again_and_again(site: Site) -> None:
    site.use(urls=f"{URL}/a", every="60s")
    site.run(200)
    assert [when for _, when in site.asked] == [1000.0, 1061.0, 1122.0, 1183.0]
    assert site.requests[0].headers.get("cache-control") == "min-fresh=60"


def test_they_may_wait_for_the_first_time(site: Site) -> None:
    site.use(urls=f"{URL}/a", every="60s", on_start=False)
    assert site.run(30) == {}
    site.run(40)
    assert site.paths == ["/a"]


def test_a_reload_goes_on_and_other_wishes_begin_anew(site: Site) -> None:
    for _ in range(2):
        site.use(urls=f"{URL}/a", every="100s")
        site.run(50)
    assert site.paths == ["/a"]
    site.use(urls=f"{URL}/b", every="100s")
    site.run(250)
    assert site.paths == ["/a", "/b", "/b", "/b"]
    site.use()
    assert site.run(500) == {}
    assert len(site.asked) == 4


def test_told_to_stop_it_fetches_no_more(site: Site) -> None:
    site.use(urls=f"{URL}/a", every="60s")
    site.run(100)
    site.warmer.stop()
    assert site.run(500) == {"urls": 1, "fetched": 1, "done": True}
    assert site.paths == ["/a", "/a"]


def refuse(request: Request) -> Response:
    raise GatewayError("upstream_unreachable")


def fail(request: Request) -> Response:
    return Response(500)


def stumble(request: Request) -> Response:
    raise RuntimeError("a policy's mistake")


@pytest.mark.parametrize("site", [refuse, fail, stumble], indirect=True)
def test_a_service_that_fails_is_left_alone_until_the_next_round(site: Site) -> None:
    site.use(sitemap=f"{URL}/sitemap.xml", share="100%", concurrency=1, every="100s")
    assert site.run(50) == {"urls": 40, "failed": 10, "given_up": 30, "done": True}
    site.run(100)
    assert len(site.asked) == 22


def test_what_takes_too_long_fails(site: Site) -> None:
    site.seconds = 1e6
    site.use(urls=f"{URL}/a", sitemap=f"{URL}/sitemap.xml")
    assert site.run() == {"urls": 1, "failed": 1, "done": True}
    assert ("warning", "sitemap can't be read", {"url": f"{URL}/sitemap.xml"}) in site.journal.lines


class Endless:
    """A body without an end. closed: nobody reads it any more."""

    closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return bytes(100_000)

    async def aclose(self) -> None:
        self.closed = True


ENDLESS = Endless()


@pytest.mark.parametrize("site", [lambda _: Response(200, body=ENDLESS)], indirect=True)
def test_what_is_too_large_to_be_stored_is_not_read_on(site: Site) -> None:
    site.use(urls=f"{URL}/a")
    assert site.run()["fetched"] == 1
    assert ENDLESS.closed


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [(["hit"], "fresh"), (["revalidated"], "fetched"), (["bypass"], "uncached"), ([], "uncached")],
)
def test_what_came_of_it(outcomes: list[str], told: str, site: Site) -> None:
    def answer(request: Request) -> Response:
        request.decisions.clear()
        for outcome in outcomes:
            request.decide("cache", outcome)
        return Response(200)

    site._answer = answer
    site.use(urls=f"{URL}/a")
    assert site.run()[told] == 1
    assert site.journal.counts["sidegate_cache_warmed_total", told].value == 1


def test_progress_is_told_on_the_way(site: Site) -> None:
    site.use(sitemap=f"{URL}/sitemap.xml", concurrency=1)
    site.run(25)
    told = [facts["fetched"] for _, event, facts in site.journal.lines if event == "cache warming"]
    assert told == [9, 19]
    assert site.warmer.facts() is not None


def test_a_url_that_cannot_be_asked_for_fails(site: Site) -> None:
    site.use(urls=[f"{URL}/a/../b", f"{URL}/c"])
    assert site.run() == {"urls": 2, "fetched": 1, "failed": 1, "done": True}


@pytest.mark.parametrize(
    ("warm", "problem"),
    [
        ({"urls": ["/a"]}, "'/a' is no whole URL; write https://HOST/PATH"),
        ({"urls": ["ftp://a/b"]}, "is no whole URL"),
        ({"urls": ["http://me@a/b"]}, "is no whole URL"),
        ({"sitemap": ["http://a/b#c"]}, "can't be asked for"),
        ({"urls": ["http://a/ü"]}, "can't be asked for"),
        ({"urls": [URL], "on_start": False}, "it would never be done"),
        ({"urls": [URL], "share": "0%"}, "greater than 0"),
        ({"urls": [URL], "headers": {"a b": "c"}}, "a b"),
    ],
)
def test_wishes_that_are_refused(warm: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="warm") as told:
        Config.model_validate({"cache": {"warm": warm}})
    assert problem in str(told.value)
