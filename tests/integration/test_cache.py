"""The cache on real connections: before services that answer, break off, and are slow."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.client import Answer, CutShort, ask, connected, request, until
from tests.integration.gateway import Gateway, before
from tests.integration.origins import Holding, RawOrigin, Script, answering, cutting
from tests.integration.process import Process, process


def response(
    status: str = "200 OK", *fields: str, body: bytes = b"hello", length: int | None = None
) -> bytes:
    """A response on the wire, with its length."""
    lines = "".join(f"{field}\r\n" for field in fields)
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {size}\r\n\r\n".encode() + body


FRESH = "Cache-Control: max-age=600"


def stage(script: Script, folder: Path, **cache: Any) -> Any:
    """Sidegate with a cache before a service."""
    return before(script, folder, policies={"cache": cache or True})


def told(answer: Answer) -> str:
    """What the cache says of itself."""
    return answer.headers["cache-status"].removeprefix("Sidegate; ")


async def purge(admin: str, **what: Any) -> int:
    """Purge by the admin API; how many went."""
    body = json.dumps(what).encode()
    answer = await ask(admin, request("POST", "/cache/purge", body))
    assert answer.status == 200, answer.body
    count: int = answer.json["purged"]
    return count


async def memory(admin: str) -> dict[str, Any]:
    """What the caches hold."""
    facts: dict[str, Any] = (await ask(admin, request("GET", "/cache"))).json
    return facts


async def test_a_hit_from_end_to_end(tmp_path: Path) -> None:
    answer = response("200 OK", FRESH, "Content-Type: text/plain", "Age: 100", "X-Powered-By: x")
    async with stage(answering(answer), tmp_path) as (origin, gateway):
        first = await ask(gateway.url, request("GET", "/a?b=c"))
        second = await ask(gateway.url, request("GET", "/a?b=c"))
        head = await ask(gateway.url, request("HEAD", "/a?b=c"))
        assert [one.body for one in (first, second, head)] == [b"hello", b"hello", b""]
        assert told(first) in {f"fwd=uri-miss; stored; ttl={ttl}" for ttl in (499, 500)}
        assert told(second).startswith("hit; ttl=")
        assert 100 <= int(second.headers["age"]) <= 110
        assert head.headers["content-length"] == second.headers["content-length"] == "5"
        assert second.headers["date"] == first.headers["date"]
        # What stands outside acts on each response anew.
        assert "x-powered-by" not in second.headers
        assert second.headers["x-frame-options"] == "SAMEORIGIN"
        assert second.headers["x-request-id"] != first.headers["x-request-id"]
        assert origin.bytes_received.count(b"GET /a?b=c") == 1
        lines = await gateway.lines(count=3)
        assert [line["decisions"]["cache"] for line in lines] == ["miss", "hit", "hit"]
        assert [line["endpoint"] for line in lines] == [origin.url, "", ""]
        metrics = await gateway.metrics()
        hits = metrics['sidegate_cache_requests_total{outcome="hit",route="default"}']
        assert hits == 2
        assert metrics["sidegate_cache_objects"] == 1
        assert metrics["sidegate_cache_bytes"] > 5


async def test_conditions_and_ranges(tmp_path: Path) -> None:
    answer = response("200 OK", FRESH, 'ETag: "a"', body=b"0123456789")
    async with stage(answering(answer), tmp_path) as (origin, gateway):
        async with connected(gateway.url) as wire:
            for fields, status, body in (
                ({}, 200, b"0123456789"),
                ({"if_none_match": '"a"'}, 304, b""),
                ({"range": "bytes=2-4"}, 206, b"234"),
                ({"range": "bytes=20-"}, 416, b""),
                ({"range": "bytes=0-0", "if_range": '"b"'}, 200, b"0123456789"),
            ):
                await wire.send(request("GET", "/", **fields))
                got = await wire.answer()
                assert (got.status, got.body) == (status, body)
            await wire.send(request("GET", "/", range="bytes=0-0,-1"))
            several = await wire.answer()
            assert several.headers["content-type"].startswith("multipart/byteranges")
            assert several.headers["content-length"] == str(len(several.body))
        assert origin.bytes_received.count(b"GET /") == 1


async def test_a_stale_response_outlives_a_dropped_connection(tmp_path: Path) -> None:
    fields = ("Cache-Control: max-age=0, stale-if-error=60", 'ETag: "a"')
    replies = [response("200 OK", *fields, body=b"old"), b""]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replies.pop(0) if replies else response("200 OK", FRESH, body=b"new"))

    async with stage(script, tmp_path) as (_, gateway):
        assert (await ask(gateway.url, request())).body == b"old"
        kept = await ask(gateway.url, request())
        assert (kept.status, kept.body) == (200, b"old")
        assert 'detail="stale-if-error"' in told(kept)
        assert (await ask(gateway.url, request())).body == b"new"


async def test_stale_while_revalidate(tmp_path: Path) -> None:
    swr = response("200 OK", "Cache-Control: max-age=0, stale-while-revalidate=60", body=b"old")
    new = response("200 OK", FRESH, body=b"new")
    async with stage(answering(swr, new), tmp_path) as (origin, gateway):
        await ask(gateway.url, request())
        stale = await ask(gateway.url, request())
        assert (stale.body, told(stale).startswith("hit; ttl=-")) == (b"old", True)
        await until(lambda: origin.bytes_received.count(b"GET /") == 2)
        for _ in range(500):
            if (await ask(gateway.url, request())).body == b"new":
                return
        raise AssertionError("it was never renewed")


async def test_a_refresh_that_outlasts_a_drain_is_broken_off(tmp_path: Path) -> None:
    """Which is looked for at the end of the stage."""
    holding = Holding()
    swr = response("200 OK", "Cache-Control: max-age=0, stale-while-revalidate=60")

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(swr)
        await holding(reader, writer)

    async with stage(script, tmp_path) as (_, gateway):
        for _ in range(2):
            assert (await ask(gateway.url, request())).status == 200
        await until(lambda: holding.asked)
        [pool] = gateway.app.upstreams()
        assert pool["in_use"] == 1


async def test_many_misses_reach_the_service_once(tmp_path: Path) -> None:
    holding = Holding()
    ok = response("200 OK", FRESH)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        holding.asked += 1
        await holding.free.wait()
        writer.write(ok)

    async with stage(script, tmp_path, coalesce={"timeout": "60s"}) as (_, gateway):
        async with connected(gateway.url) as first:
            await first.send(request())
            await until(lambda: holding.asked)
            asking = [asyncio.ensure_future(ask(gateway.url, request())) for _ in range(300)]
            await until(lambda: gateway.app.status()["in_flight"] == 301)
            # Whoever had it asked may leave.
            first.abort()
            await until(lambda: gateway.app.status()["in_flight"] == 300)
        holding.free.set()
        answers = await asyncio.gather(*asking)
        assert {answer.body for answer in answers} == {b"hello"}
        assert holding.asked == 1


async def test_a_slow_client_holds_up_nobody(tmp_path: Path) -> None:
    size = 6_000_000

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response("200 OK", FRESH, body=b"", length=size))
        for _ in range(60):
            writer.write(bytes(size // 60))
            await writer.drain()

    async with stage(script, tmp_path) as (origin, gateway):
        async with connected(gateway.url, buffer=1024) as slow:
            await slow.send(request())
            await slow.head()
            slow.pause()
            quick = await ask(gateway.url, request())
            assert len(quick.body) == size
            third = await ask(gateway.url, request())
            assert (len(third.body), told(third).startswith("hit")) == (size, True)
            slow.resume()
            left = size
            while left:
                left -= len(await slow.some())
        assert origin.connections == 1


@pytest.mark.parametrize(
    "pieces",
    [
        (response("200 OK", FRESH, body=b"hel", length=5),),
        (b"HTTP/1.1 200 OK\r\n" + FRESH.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n",
         b"3\r\nhel\r\n"),
    ],
)  # fmt: skip
async def test_what_is_cut_short_is_never_stored_as_whole(
    pieces: tuple[bytes, ...], tmp_path: Path
) -> None:
    async with stage(cutting(*pieces), tmp_path) as (origin, gateway):
        for _ in range(2):
            with pytest.raises(CutShort):
                await ask(gateway.url, request())
        assert origin.connections == 2


async def test_trailers_are_not_stored(tmp_path: Path) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\n" + FRESH.encode() + b"\r\nTransfer-Encoding: chunked\r\n"
        b"Trailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nCache-Control: no-store\r\n\r\n"
    )
    async with stage(answering(answer), tmp_path) as (_, gateway):
        first, second = [await ask(gateway.url, request()) for _ in range(2)]
        for got in (first, second):
            assert got.body == b"hello"
            assert not {"x-sum", "trailer"} & got.headers.keys()
        assert told(second).startswith("hit")
        assert second.headers["cache-control"] == "max-age=600"


async def test_interim_responses_are_passed_on_and_not_stored(tmp_path: Path) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\n\r\n"
    async with stage(answering(early + response("200 OK", FRESH)), tmp_path) as (_, gateway):
        first, second = [await ask(gateway.url, request()) for _ in range(2)]
        assert [one.status for one in first.interim] == [103]
        assert (second.interim, told(second).startswith("hit")) == ([], True)


async def test_fields_that_connection_names_are_not_stored(tmp_path: Path) -> None:
    answer = response("200 OK", FRESH, "Connection: a, b", "A: 1", "B: 2", "C: 3")
    async with stage(answering(answer), tmp_path) as (_, gateway):
        first, second = [await ask(gateway.url, request()) for _ in range(2)]
        for got in (first, second):
            assert (got.headers.keys() & {"a", "b"}, got.headers["c"]) == (set(), "3")
        assert told(second).startswith("hit")


async def test_purging_by_the_admin_api(tmp_path: Path) -> None:
    tagged = response("200 OK", FRESH, "Cache-Tag: news, all")
    async with stage(answering(tagged), tmp_path) as (_, gateway):

        async def filled() -> None:
            for target in ("/a", "/b", "/b/c"):
                await ask(gateway.url, request("GET", target))

        await filled()
        assert await purge(gateway.admin, url="http://service.test/a") == 1
        assert await purge(gateway.admin, prefix="//service.test/b") == 2
        assert await purge(gateway.admin, all=True) == 0
        await filled()
        assert await purge(gateway.admin, tag="news", soft=True) == 3
        assert told(await ask(gateway.url, request("GET", "/a"))).startswith("fwd=stale")
        facts = await memory(gateway.admin)
        assert facts["objects"] == 3
        assert facts["removed"]["purged"] == 3


async def test_the_cache_survives_a_reload_and_not_a_change(tmp_path: Path) -> None:
    async with stage(answering(response("200 OK", FRESH)), tmp_path) as (origin, gateway):
        await ask(gateway.url, request())
        config = {"upstreams": {"service": {"endpoints": [origin.url]}}}

        async def after(policies: dict[str, Any], **more: Any) -> str:
            gateway.rewrite({**config, "policies": policies, **more})
            assert (await gateway.reload())[0] == 200
            return told(await ask(gateway.url, request())).partition(";")[0]

        assert await after({"cache": True}) == "hit"
        assert await after({"cache": True, "rate_limit": "1000/s"}) == "hit"
        assert await after({"cache": {"ttl": "1m"}}) == "fwd=uri-miss"
        assert await after({"cache": {"ttl": "1m"}}, cache={"memory": "2MiB"}) == "hit"


async def test_shadow_mode_forwards_everything(tmp_path: Path) -> None:
    replies = [response("200 OK", FRESH, body=body) for body in (b"one", b"one", b"two")]
    async with stage(answering(*replies), tmp_path, mode="shadow") as (origin, gateway):
        answers = [await ask(gateway.url, request()) for _ in range(3)]
        assert [answer.body for answer in answers] == [b"one", b"one", b"two"]
        assert all("cache-status" not in answer.headers for answer in answers)
        metrics = await gateway.metrics()
        outcome = 'sidegate_cache_shadow_requests_total{outcome="would_hit",route="default"}'
        assert metrics[outcome] == 2
        assert metrics['sidegate_cache_shadow_wrong_total{route="default"}'] == 1
        assert origin.bytes_received.count(b"GET /") == 3


@contextlib.contextmanager
def two_workers(origin: RawOrigin, folder: Path) -> Any:
    """Two workers with a cache before a service."""
    config = {
        "server": {"workers": 2},
        "upstreams": {"service": origin.url},
        "policies": {"cache": {"purge_method": "127.0.0.0/8"}},
    }
    with process(config, folder) as sidegate:
        yield sidegate


async def in_both(sidegate: Process, target: str) -> None:
    """Have both workers store a response: each connection belongs to one of them."""
    for _ in range(200):
        if all(worker["objects"] for worker in (await memory(sidegate.admin))["workers"]):
            return
        await ask(sidegate.url, request("GET", target))
    raise AssertionError("one worker never got a request")


async def test_what_is_purged_or_changed_is_gone_from_all_workers(tmp_path: Path) -> None:
    async with RawOrigin(answering(response("200 OK", FRESH))) as origin:
        with two_workers(origin, tmp_path) as sidegate:
            await in_both(sidegate, "/a")
            assert await purge(sidegate.admin, url="http://service.test/a") == 2
            await in_both(sidegate, "/a")
            answer = await ask(sidegate.url, request("PURGE", "/a"))
            assert (answer.status, answer.json) == (200, {"purged": 2})
            await in_both(sidegate, "/a")
            await ask(sidegate.url, request("POST", "/a", b"x"))
            for _ in range(500):
                if not (await memory(sidegate.admin))["objects"]:
                    return
            raise AssertionError("a worker never heard of the change")


async def test_a_wrong_option_is_told_with_its_place(tmp_path: Path) -> None:
    async with stage(answering(response()), tmp_path) as (origin, gateway):
        assert isinstance(gateway, Gateway)
        gateway.rewrite(
            {
                "upstreams": {"a": origin.url},
                "policies": {"cache": {"key": {"query": {"ignor": 1}}}},
            }
        )
        status, report = await gateway.reload()
        assert status == 409
        [problem] = report["problems"]
        assert "policies.cache.key.query" in problem
        assert 'did you mean "ignore"' in problem
