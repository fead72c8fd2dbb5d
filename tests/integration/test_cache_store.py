"""Caches of several instances that share a store in a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from proxy.config.store import RedisOptions
from tests.integration.client import TIMEOUT, Answer, ask, request, until
from tests.integration.gateway import Gateway, running
from tests.integration.origins import Holding, RawOrigin, Script
from tests.integration.process import process
from tests.integration.redis import Redis, redis_cluster, redis_server

FRESH = "Cache-Control: max-age=600"


def response(*fields: str, body: bytes = b"hello") -> bytes:
    """A response on the wire."""
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"HTTP/1.1 200 OK\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def counting(*fields: str, body: bytes = b"") -> Script:
    """A service whose every answer has a number, or a given body."""
    answered = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        while True:
            await reader.readuntil(b"\r\n\r\n")
            answered += 1
            writer.write(response(*fields, body=body or b"answer %d" % answered))

    return script


@dataclass
class Scene:
    """Instances before one service. origin: the service."""

    origin: RawOrigin
    instances: list[Gateway]

    async def ask(
        self, number: int, target: str = "/", method: str = "GET", **fields: str
    ) -> Answer:
        """What an instance answers."""
        return await ask(self.instances[number].url, request(method, target, **fields))

    @property
    def asked(self) -> int:
        """How often the service was asked with GET."""
        return self.origin.bytes_received.count(b"GET /")


@contextlib.asynccontextmanager
async def scene(
    script: Script, store: dict[str, Any], folder: Path, size: int = 2, **cache: Any
) -> AsyncIterator[Scene]:
    """Some instances that share a store, for which they wait long on a busy machine."""
    async with RawOrigin(script) as origin, contextlib.AsyncExitStack() as stack:
        config = {
            "upstreams": {"app": origin.url},
            "cache": {"store": {"deadline": "5s", **store}},
            "policies": {"cache": cache or True},
        }
        instances = []
        for number in range(size):
            own = folder / f"instance{number}"
            own.mkdir()
            instances.append(await stack.enter_async_context(running(config, own)))
        yield Scene(origin, instances)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with redis_server(tmp_path) as server:
        yield server


def told(answer: Answer) -> str:
    """What the cache says of itself."""
    return answer.headers["cache-status"].removeprefix("Sidegate; ")


async def purge(gateway: Gateway, **what: Any) -> dict[str, Any]:
    """Purge by the admin API."""
    answer = await ask(gateway.admin, request("POST", "/cache/purge", json.dumps(what).encode()))
    assert answer.status == 200, answer.body
    facts: dict[str, Any] = answer.json
    return facts


async def outdated(answer: Callable[[], Awaitable[Answer]], body: bytes) -> None:
    """Return once what is answered isn't this any more."""
    async with asyncio.timeout(TIMEOUT):
        for _ in count():
            if (await answer()).body != body:
                return
            await asyncio.sleep(0.01)


def kept(redis: Redis) -> list[str]:
    """Names of the responses that Redis has."""
    return [name for name in redis.cli("--scan").split() if ":o" in name]


def homes(redis: Redis) -> set[str]:
    """What tells the URLs of those responses apart."""
    return {name.partition("{")[2].partition("}")[0] for name in kept(redis)}


async def test_what_one_instance_fetched_the_others_have(redis: Redis, tmp_path: Path) -> None:
    script = counting(FRESH, "Age: 100", 'ETag: "a"', "Content-Type: text/plain")
    async with scene(script, {"url": redis.url}, tmp_path) as stage:
        first = await stage.ask(0, "/a?b")
        await until(lambda: kept(redis))
        second = await stage.ask(1, "/a?b")
        assert [first.body, second.body] == [b"answer 1", b"answer 1"]
        assert told(second).startswith("hit; ttl=")
        assert 100 <= int(second.headers["age"]) <= 110
        assert second.headers["etag"] == '"a"'
        # It has it in its own memory now.
        assert told(await stage.ask(1, "/a?b")).startswith("hit; ttl=")
        metrics = await stage.instances[1].metrics()
        lookups = 'sidegate_cache_store_lookups_total{outcome="hit",route="default"}'
        assert metrics[lookups] == 1
        assert stage.asked == 1
        [name] = kept(redis)
        assert 500_000 < int(redis.cli("PTTL", name)) < 2_000_000


async def test_conditions_ranges_and_heads_use_it_as_well(redis: Redis, tmp_path: Path) -> None:
    async with scene(
        counting(FRESH, 'ETag: "a"', body=b"0123456789"), {"url": redis.url}, tmp_path, 4
    ) as stage:
        await stage.ask(0)
        await until(lambda: kept(redis))
        assert (await stage.ask(1, range="bytes=2-4")).body == b"234"
        assert (await stage.ask(2, if_none_match='"a"')).status == 304
        assert (await stage.ask(3, method="HEAD")).headers["content-length"] == "10"
        assert stage.asked == 1


async def test_variants_are_told_apart(redis: Redis, tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            body = b"Guten Tag" if b"-language: de" in head.lower() else b"Good day"
            writer.write(response(FRESH, "Vary: Accept-Language", body=body))

    async with scene(script, {"url": redis.url}, tmp_path) as stage:
        for language, body in (("de", b"Guten Tag"), ("en", b"Good day")):
            assert (await stage.ask(0, accept_language=language)).body == body
        await until(lambda: len(kept(redis)) == 2)
        for language, body in (("de", b"Guten Tag"), ("en", b"Good day")):
            answer = await stage.ask(1, accept_language=language)
            assert (answer.body, told(answer)[:3]) == (body, "hit")
        assert stage.asked == 2


async def test_a_large_response_comes_in_chunks(redis: Redis, tmp_path: Path) -> None:
    body = bytes(range(256)) * 12_000
    async with scene(
        counting(FRESH, 'ETag: "a"', body=body), {"url": redis.url}, tmp_path
    ) as stage:
        assert (await stage.ask(0)).body == body
        await until(lambda: kept(redis))
        assert len(redis.cli("--scan").split()) > 10
        answers = await asyncio.gather(*(stage.ask(1) for _ in range(5)))
        assert {answer.body for answer in answers} == {body}
        assert {told(answer).partition(";")[0] for answer in answers} == {"hit"}
        # Once it has read them, they are its own.
        redis.cli("FLUSHALL")
        assert told(await stage.ask(1, range="bytes=0-0")).startswith("hit")
        assert stage.asked == 1


async def test_a_chunk_that_is_gone_makes_it_a_miss(redis: Redis, tmp_path: Path) -> None:
    body = bytes(1_000_000)
    async with scene(counting(FRESH, body=body), {"url": redis.url}, tmp_path) as stage:
        await stage.ask(0)
        await until(lambda: kept(redis))
        lost = next(name for name in redis.cli("--scan").split() if name.endswith(".2"))
        redis.cli("DEL", lost)
        answer = await stage.ask(1)
        assert (answer.body == body, told(answer)[:12]) == (True, "fwd=uri-miss")


async def test_texts_are_compressed(redis: Redis, tmp_path: Path) -> None:
    body = b"the same again and again, " * 8_000
    async with scene(
        counting(FRESH, "Content-Type: text/html", body=body), {"url": redis.url}, tmp_path
    ) as stage:
        await stage.ask(0)
        await until(lambda: kept(redis))
        [name] = kept(redis)
        assert int(redis.cli("STRLEN", name)) < 10_000
        assert (await stage.ask(1)).body == body


async def test_misses_of_several_instances_reach_the_service_once(
    redis: Redis, tmp_path: Path
) -> None:
    holding = Holding()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        holding.asked += 1
        await holding.free.wait()
        writer.write(response(FRESH))

    async with scene(script, {"url": redis.url}, tmp_path, 3) as stage:
        asking = [asyncio.ensure_future(stage.ask(number % 3)) for number in range(60)]
        gateways = stage.instances
        await until(lambda: all(one.app.status()["in_flight"] == 20 for one in gateways))
        holding.free.set()
        answers = await asyncio.gather(*asking)
        assert {answer.body for answer in answers} == {b"hello"}
        assert holding.asked == 1


async def test_what_cannot_be_shared_is_waited_for_by_nobody(redis: Redis, tmp_path: Path) -> None:
    async with scene(counting("Cache-Control: no-store"), {"url": redis.url}, tmp_path) as stage:
        bodies = [(await stage.ask(number % 2)).body for number in range(6)]
        assert bodies == [b"answer %d" % number for number in range(1, 7)]
        assert kept(redis) == []


@pytest.mark.parametrize("soft", [False, True])
async def test_a_purge_reaches_all_instances(soft: bool, redis: Redis, tmp_path: Path) -> None:
    async with scene(
        counting(FRESH, "Cache-Tag: news, all"), {"url": redis.url}, tmp_path, 3
    ) as stage:
        known: set[str] = set()
        for kind, text in (
            ("url", "/url/1"), ("prefix", "/prefix"), ("glob", "/*/1"), ("tag", "news"),
            ("all", True),
        ):  # fmt: skip
            target = f"/{kind}/1"
            body = (await stage.ask(0, target)).body
            # Those of before may be stored anew even now.
            await until(lambda: homes(redis) - known)  # noqa: B023
            known |= homes(redis)
            assert (await stage.ask(1, target)).body == body
            facts = await purge(stage.instances[0], **{kind: text, "soft": soft})
            assert (facts["purged"] > 0, facts["instances"]) == (True, "now")
            # One has it in memory, one would find it in Redis.
            for other in (1, 2):
                await outdated(partial(stage.ask, other, target), body)
            assert (await stage.ask(0, target)).body != body


async def test_an_unsafe_method_makes_it_outdated_everywhere(redis: Redis, tmp_path: Path) -> None:
    async with scene(counting(FRESH), {"url": redis.url}, tmp_path) as stage:
        await stage.ask(0)
        await until(lambda: kept(redis))
        await stage.ask(1)
        await stage.ask(0, method="POST")
        # Nobody gets what was before from the one who knows of it.
        assert (await stage.ask(0)).body == b"answer 3"
        await outdated(lambda: stage.ask(1), b"answer 1")


async def test_what_nobody_keeps_is_told_to_nobody(redis: Redis, tmp_path: Path) -> None:
    async with scene(counting("Cache-Control: no-store"), {"url": redis.url}, tmp_path) as stage:
        for _ in range(5):
            await stage.ask(0, method="POST")
        assert redis.cli("XLEN", "sidegate:cache:{purges}:log").strip() == "0"


async def test_it_goes_on_by_itself_while_redis_is_away(redis: Redis, tmp_path: Path) -> None:
    async with scene(counting(FRESH), {"url": redis.url}, tmp_path) as stage:
        await stage.ask(0, "/a")
        await until(lambda: kept(redis))
        redis.stop()
        assert (await stage.ask(0, "/a")).body == b"answer 1"
        assert (await stage.ask(1, "/a")).body == b"answer 2"
        assert (await purge(stage.instances[0], all=True)) == {"purged": 1, "instances": "later"}
        assert (await stage.ask(0, "/a")).body == b"answer 3"
        assert told(await stage.ask(1, "/a")).startswith("hit")
        redis.start()
        # What was purged meanwhile is told as soon as it can be.
        await outdated(lambda: stage.ask(1, "/a"), b"answer 2")
        await stage.instances[0].lines("the cache store can't be asked; responses are kept in the "
                                       "memory of each worker alone")  # fmt: skip


async def test_redis_that_stands_still_holds_nobody_up(redis: Redis, tmp_path: Path) -> None:
    async with scene(counting(FRESH), {"url": redis.url, "deadline": "50ms"}, tmp_path) as stage:
        redis.tell(signal.SIGSTOP)
        for number in range(20):
            assert (await stage.ask(0, f"/{number}")).status == 200
        redis.tell(signal.SIGCONT)
        failures = 'sidegate_cache_store_failures_total{reason="deadline"}'
        assert (await stage.instances[0].metrics())[failures] < 10


async def test_who_cannot_know_what_was_purged_keeps_nothing(redis: Redis, tmp_path: Path) -> None:
    async with scene(counting(FRESH), {"url": redis.url}, tmp_path) as stage:
        await stage.ask(0, "/a")
        await until(lambda: kept(redis))
        redis.cli("FLUSHALL")
        await purge(stage.instances[0], url="/b")
        await stage.instances[1].lines(
            "purges of other instances were missed; the cache is emptied"
        )
        assert (await stage.ask(1, "/a")).body == b"answer 2"


async def test_who_was_away_hears_of_it(redis: Redis, tmp_path: Path) -> None:
    async with RawOrigin(counting(FRESH)) as origin:
        config = {
            "upstreams": {"app": origin.url},
            "cache": {"store": {"url": redis.url, "deadline": "5s"}},
            "policies": {"cache": True},
        }
        folders = [tmp_path / name for name in ("one", "other")]
        for folder in folders:
            folder.mkdir()
        with process(config, folders[0]) as one, process(config, folders[1]) as other:
            await ask(one.url, request("GET", "/a"))
            await until(lambda: kept(redis))
            assert (await ask(other.url, request("GET", "/a"))).body == b"answer 1"
            other.tell(signal.SIGSTOP)
            body = json.dumps({"prefix": "/a"}).encode()
            assert (await ask(one.admin, request("POST", "/cache/purge", body))).status == 200
            other.tell(signal.SIGCONT)
            await outdated(lambda: ask(other.url, request("GET", "/a")), b"answer 1")


async def test_a_cluster_shares_the_urls_out(tmp_path: Path) -> None:
    with redis_cluster(tmp_path) as nodes:
        store = {"cluster": [f"127.0.0.1:{nodes[0].port}"]}
        async with scene(counting(FRESH, "Cache-Tag: a"), store, tmp_path) as stage:
            for number in range(9):
                await stage.ask(0, f"/{number}")
            await until(lambda: sum(len(kept(node)) for node in nodes) == 9)
            assert all(kept(node) for node in nodes)
            for number in range(9):
                assert told(await stage.ask(1, f"/{number}")).startswith("hit")
            assert (await purge(stage.instances[1], tag="a"))["purged"] == 9
            await until(lambda: sum(len(kept(node)) for node in nodes) == 0)


async def test_a_user_of_the_access_list_needs_no_more_than_is_said(
    redis: Redis, tmp_path: Path
) -> None:
    told = " ".join((RedisOptions.model_fields["username"].description or "").split())
    listed = told.partition("for the cache `")[2].partition("`")[0].split()
    redis.cli("ACL", "SETUSER", "gate", "on", ">pw", "~sidegate:cache:*", "-@all",
              *(f"+{name}" for name in listed))  # fmt: skip
    url = redis.url.removesuffix("/0")
    store = {"url": url, "username": "gate", "password": "pw"}
    script = counting(FRESH, "Cache-Tag: a", "Vary: Accept", body=bytes(600_000))
    async with scene(script, store, tmp_path) as stage:
        await stage.ask(0)
        await until(lambda: kept(redis))
        assert (await stage.ask(1)).headers["cache-status"].startswith("Sidegate; hit")
        assert await purge(stage.instances[1], tag="a") == {"purged": 1, "instances": "now"}
        await until(lambda: not kept(redis))
        # What else is tried is of use where it is allowed, and does no harm where it isn't.
        denied = redis.cli("ACL", "LOG").splitlines()
        tried = {told for name, told in pairwise(denied) if name == "object"}
        assert tried <= {"client|setname", "role"}
