"""Limits that instances share in Redis: exact, leased, and without it."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.certificates import Authority
from tests.integration.client import ask, connected, request, until
from tests.integration.gateway import running
from tests.integration.limit_load import Load, ask_times, counted, instances, limited, sharing
from tests.integration.origins import Holding, RawOrigin, aiohttp_app
from tests.integration.ports import free_port
from tests.integration.process import process
from tests.integration.redis import Redis, redis_server

UNANSWERED = "sidegate_rate_limit_store_failures_total"
UP = "sidegate_rate_limit_store_up"
DOCUMENTED = set(
    re.findall(
        r"^\| `(sidegate_rate_limit_\w+)` \|",
        (Path(__file__).parents[2] / "config" / "LIMITS.md").read_text("utf-8"),
        re.MULTILINE,
    )
)
CANNOT = "the limit store can't be asked; limits are counted as `on_store_failure` says"


# -- counting together -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "admitted"),
    [
        ({"limit": "60/day"}, 60),
        ({"limit": "60/day", "algorithm": "fixed_window"}, 60),
        ({"limit": "60/day", "algorithm": "sliding_window"}, 60),
        ({"limits": ["100/day", {"limit": "40/hour", "key": "client_ip"}]}, 40),
        ({"limit": "60/day", "cost": 3}, 20),
    ],
)
async def test_instances_admit_together_what_the_limit_says(
    options: dict[str, Any], admitted: int, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as redis:
        config = limited(redis.url, **options)
        async with instances(3, tmp_path, config) as gateways:
            # One of each before all at once: the quickest might leave nothing to the others.
            counts = [await ask_times(gateway.url, 1) for gateway in gateways]
            assert counts == [{204: 1}] * 3
            counts += await asyncio.gather(*(ask_times(gateway.url, 60) for gateway in gateways))
            assert sum(count[204] for count in counts) == admitted
            for gateway in gateways:
                assert await counted(gateway, UNANSWERED) == 0


async def test_leased_instances_admit_together_what_the_limit_says_and_hardly_ask(
    tmp_path: Path,
) -> None:
    with redis_server(tmp_path) as redis:
        config = limited(redis.url, limit="2000/day", precision="leased", lease=100)
        async with instances(2, tmp_path, config) as gateways:
            before = redis.scripts_run()
            counts = await asyncio.gather(*(ask_times(gateway.url, 800) for gateway in gateways))
            assert sum(count[204] for count in counts) == 1600
            asked = redis.scripts_run() - before
            assert asked < 1600 / 10
            [bound] = [
                value
                for series, value in (await gateways[0].metrics()).items()
                if series.startswith("sidegate_rate_limit_overshoot_max")
            ]
            told = {series.partition("{")[0] for series in await gateways[0].metrics()}
            assert {name for name in told if "_rate_limit_" in name} == DOCUMENTED
            assert bound == 100
            counts = await asyncio.gather(*(ask_times(gateway.url, 800) for gateway in gateways))
            assert 400 - 2 * bound <= sum(count[204] for count in counts) <= 400


async def test_places_in_flight_are_shared_and_come_back(tmp_path: Path) -> None:
    holding = Holding()
    with redis_server(tmp_path) as redis:
        async with RawOrigin(holding) as origin:
            limit = {"limit": 4, "algorithm": "concurrency", "key": "global"}
            config = {
                "store": {"url": redis.url, "deadline": "5s"},
                "upstreams": {"service": origin.url},
                "policies": {"rate_limit": limit},
            }
            async with instances(2, tmp_path, config) as gateways:
                waiting = [
                    asyncio.ensure_future(ask(gateways[number % 2].url, request()))
                    for number in range(4)
                ]
                await until(lambda: holding.asked == 4, "the fourth request")
                for gateway in gateways:
                    assert (await ask(gateway.url, request())).status == 429
                async with connected(gateways[0].url) as wire:
                    await wire.send(request())
                    assert (await wire.answer()).status == 429
                holding.free.set()
                assert [answer.status for answer in await asyncio.gather(*waiting)] == [200] * 4
                assert (await ask(gateways[1].url, request())).status == 200


async def test_places_in_flight_outlast_redis_and_the_store_s_settings(tmp_path: Path) -> None:
    holding = Holding()

    def config(deadline: str) -> dict[str, Any]:
        return {
            "store": {"url": redis.url, "deadline": deadline},
            "upstreams": {"service": origin.url},
            "policies": {"rate_limit": {"limit": 1, "algorithm": "concurrency"}},
        }

    with redis_server(tmp_path) as redis:
        async with (
            RawOrigin(holding) as origin,
            sharing(config("5s"), tmp_path) as gateway,
        ):
            waiting = asyncio.ensure_future(ask(gateway.url, request()))
            await until(lambda: holding.asked == 1, "the request")
            redis.stop()
            redis.start()
            await gateway.lines("the limit store answers", count=2)
            assert (await ask(gateway.url, request())).status == 429, "it is told anew"
            gateway.rewrite(config("6s"))
            assert (await gateway.reload())[0] == 200
            assert (await ask(gateway.url, request())).status == 429
            holding.free.set()
            assert (await waiting).status == 200
            # It takes a moment until the place has gone back.
            statuses = [(await ask(gateway.url, request())).status for _ in range(50)]
            assert statuses[-30:] == [200] * 30


async def test_what_the_response_decides_is_settled_in_redis(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        async with aiohttp_app() as service:
            config: dict[str, Any] = {
                "store": {"url": redis.url, "deadline": "5s"},
                "upstreams": {"service": service},
                "policies": {"rate_limit": {"limit": "2/day", "when": {"status": 404}}},
            }
            async with instances(2, tmp_path, config) as gateways:
                for number in range(6):
                    answer = await ask(gateways[number % 2].url, request("GET", "/status/200"))
                    assert answer.status == 200
                statuses = [
                    (await ask(gateways[number % 2].url, request("GET", "/status/404"))).status
                    for number in range(3)
                ]
                assert statuses == [404, 404, 429]


# -- ways in ---------------------------------------------------------------------------------


async def shares(store: Any, folder: Path) -> None:
    """Two instances share a limit in this store."""
    async with instances(2, folder, limited(store, limit="10/day")) as gateways:
        counts = await asyncio.gather(*(ask_times(gateway.url, 10) for gateway in gateways))
        assert sum(count[204] for count in counts) == 10


async def test_by_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with redis_server(tmp_path, "--unixsocket", str(path)):
        await shares(f"unix:{path}", tmp_path)


async def test_with_a_password_in_another_database(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        redis.cli("CONFIG", "SET", "requirepass", "s3cret/@")
        redis.access = ("-a", "s3cret/@", "--no-auth-warning")
        secret = tmp_path / "password"
        secret.write_text("s3cret/@")
        await shares(f"redis://:s3cret%2F%40@127.0.0.1:{redis.port}/7", tmp_path)
        assert "keys=1" in redis.cli("INFO", "keyspace")


async def test_as_a_user_who_may_do_no_more_than_is_needed(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        redis.cli(
            "ACL", "SETUSER", "gate", "on", ">pw", "~limits:*", "+evalsha", "+eval", "+time",
            "+get", "+set", "+del", "+ping", "+hgetall", "+hset", "+hdel", "+expire",
        )  # fmt: skip
        store = {
            "deadline": "5s",
            "url": f"redis://127.0.0.1:{redis.port}",
            "username": "gate",
            "password": "pw",
            "prefix": "limits",
        }
        await shares(store, tmp_path)


async def test_who_may_not_count_is_told_once(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        redis.cli("ACL", "SETUSER", "gate", "on", ">pw", "~other:*", "+@all")
        store = {"url": redis.url, "username": "gate", "password": "pw"}
        async with sharing(limited(store, limit="5/day"), tmp_path) as gateway:
            assert (await ask_times(gateway.url, 20))[204] == 5, "counted locally"
            [line] = await gateway.lines("the limit store refuses to count; limits are counted as "
                                         "`on_store_failure` says")  # fmt: skip
            assert "NOPERM" in line["answer"] or "permission" in line["answer"]


async def test_with_tls_and_a_certificate_of_its_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, client = authority.issue("DNS:localhost"), authority.issue("DNS:client.test")
    port = free_port()
    options = (
        "--tls-port", str(port), "--tls-cert-file", str(server.cert),
        "--tls-key-file", str(server.key), "--tls-ca-cert-file", str(authority.ca_file),
    )  # fmt: skip
    with redis_server(tmp_path, *options):
        store = {
            "deadline": "5s",
            "url": f"rediss://localhost:{port}",
            "tls": {"ca_file": str(authority.ca_file), **client.config},
        }
        await shares(store, tmp_path)


# -- without it ------------------------------------------------------------------------------


async def test_a_script_that_redis_has_forgotten_is_given_anew(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        async with sharing(limited(redis.url, limit="1000000/s"), tmp_path) as gateway:
            async with Load(gateway.url) as load:
                for _ in range(3):
                    await load.some_more()
                    redis.cli("SCRIPT", "FLUSH")
                await load.some_more()
            assert set(load.statuses) == {204}
            assert await counted(gateway, UNANSWERED) == 0


@pytest.mark.parametrize("fate", ["killed", "paused"])
@pytest.mark.parametrize("precision", ["exact", "leased"])
async def test_a_redis_that_fails_under_load_costs_no_request(
    fate: str, precision: str, tmp_path: Path
) -> None:
    clients = 16
    with redis_server(tmp_path) as redis:
        more = {"precision": "leased", "lease": 10} if precision == "leased" else {}
        config = limited(redis.url, deadline="1s", limit="1000000/s", **more)
        async with sharing(config, tmp_path) as gateway:
            async with Load(gateway.url, clients) as load:
                await load.some_more()
                if fate == "killed":
                    redis.stop()
                else:
                    redis.tell(signal.SIGSTOP)
                await gateway.lines(CANNOT)
                await load.some_more(400)
                unanswered = await counted(gateway, UNANSWERED, reason="deadline")
                unanswered += await counted(gateway, UNANSWERED, reason="lost")
                # Those who were waiting, and nobody after them.
                assert unanswered <= 2 * clients
                local = await counted(gateway, "sidegate_rate_limit_unchecked", instead="local")
                assert local >= 400
                assert await counted(gateway, UP) == 0
                if fate == "killed":
                    redis.start()
                else:
                    redis.tell(signal.SIGCONT)
                await gateway.lines("the limit store answers", count=2)
                local = await counted(gateway, "sidegate_rate_limit_unchecked", instead="local")
                await load.some_more(400)
                now = await counted(gateway, "sidegate_rate_limit_unchecked", instead="local")
                assert now <= local + clients
                assert await counted(gateway, UP) == 1
            assert set(load.statuses) == {204}
            assert len(await gateway.lines(CANNOT)) == 1, "one line for each change"
            changes = "sidegate_rate_limit_store_changes_total"
            assert await counted(gateway, changes, state="down") == 1
            assert await counted(gateway, changes, state="up") == 2


@pytest.mark.parametrize(
    ("instead", "statuses"),
    [("local", {204: 5, 429: 15}), ("open", {204: 20}), ("closed", {503: 20})],
)
async def test_without_redis_a_policy_says_what_happens(
    instead: str, statuses: dict[int, int], tmp_path: Path
) -> None:
    nowhere = Redis(tmp_path / "nowhere")
    config = limited(nowhere.url, limit="5/day", on_store_failure=instead)
    async with running(config, tmp_path) as gateway:
        assert await ask_times(gateway.url, 20) == statuses
        await gateway.lines("request", 20)
        if instead == "closed":
            answer = await ask(gateway.url, request())
            assert answer.error == "limit_unavailable"
            assert answer.headers["retry-after"] == "1"
        else:
            line = (await gateway.lines())[0]
            assert "the store can't be asked" in line["details"]["rate_limit"]


async def test_a_replica_counts_nothing_and_is_told_of_once(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        redis.cli("REPLICAOF", "127.0.0.1", str(free_port()))
        async with running(limited(redis.url, limit="5/day"), tmp_path) as gateway:
            assert await ask_times(gateway.url, 50) == {204: 5, 429: 45}
            [line] = await gateway.lines(CANNOT)
            assert line["reason"] == "it is a replica"
            redis.cli("REPLICAOF", "NO", "ONE")
            await gateway.lines("the limit store answers")
            assert await ask_times(gateway.url, 50) == {204: 5, 429: 45}
            assert len(await gateway.lines(CANNOT)) == 1


async def test_workers_without_redis_count_together(tmp_path: Path) -> None:
    nowhere = Redis(tmp_path / "nowhere")
    config = {"server": {"workers": 2}, **limited(nowhere.url, limit="50/day")}
    with process(config, tmp_path) as sidegate:
        assert await ask_times(sidegate.url, 200, clients=24) == {204: 50, 429: 150}


async def test_who_goes_away_while_redis_is_asked_holds_no_place(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        store = {"url": redis.url, "deadline": "5s"}
        config = limited(store, limit=1, algorithm="concurrency")
        async with sharing(config, tmp_path) as gateway:
            redis.tell(signal.SIGSTOP)
            async with connected(gateway.url) as wire:
                await wire.send(request())
                await until(lambda: gateway.app.status()["in_flight"] == 1, "the request")
                wire.abort()
            await until(lambda: not gateway.app.status()["connections"], "the end")
            redis.tell(signal.SIGCONT)
            # It takes a moment until what it was granted has gone back.
            statuses = [(await ask(gateway.url, request())).status for _ in range(50)]
            assert statuses[-30:] == [204] * 30


async def test_a_reload_changes_the_store(tmp_path: Path) -> None:
    def config(store: Any) -> dict[str, Any]:
        return limited(store, limit="3/day")

    with redis_server(tmp_path) as redis:
        async with sharing(config(redis.url), tmp_path) as gateway:
            assert await ask_times(gateway.url, 5) == {204: 3, 429: 2}
            gateway.rewrite(config({"url": redis.url, "deadline": "5s", "prefix": "other"}))
            assert (await gateway.reload())[0] == 200
            await gateway.lines("the limit store answers", count=2)
            assert await ask_times(gateway.url, 5) == {204: 3, 429: 2}
            gateway.rewrite(config({}))
            assert (await gateway.reload())[0] == 200
            assert await ask_times(gateway.url, 5) == {204: 3, 429: 2}
            await until(lambda: "sidegate" not in redis.cli("CLIENT", "LIST"), "the end")
            gateway.rewrite(config(redis.url))
            assert (await gateway.reload())[0] == 200
            await gateway.lines("the limit store answers", count=3)
            assert await ask_times(gateway.url, 5) == {429: 5}
