"""Limits in a Redis Cluster, and behind Sentinels, while servers fail and keys move."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.integration.certificates import Authority
from tests.integration.client import ask, request
from tests.integration.gateway import Gateway, running
from tests.integration.limit_load import Load, ask_times, counted, instances, limited, sharing
from tests.integration.redis import (
    Redis,
    Sentinel,
    redis_cluster,
    redis_server,
    running_server,
    watched_redis,
)

UNANSWERED = "sidegate_rate_limit_store_failures_total"


def by_key(nodes: list[Redis], limit: str) -> dict[str, Any]:
    """A limit for each value of a field, in a cluster."""
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    # Windows, so that no record expires before it has been looked at.
    return limited(
        {"cluster": addresses}, limit=limit, key="header:X-Key", algorithm="fixed_window"
    )


async def statuses(gateway: Gateway, keys: int, times: int) -> list[list[int]]:
    """What each of so many keys is told, so many times."""

    async def one(number: int) -> list[int]:
        sent = request("GET", "/", x_key=str(number))
        return [(await ask(gateway.url, sent)).status for _ in range(times)]

    return await asyncio.gather(*(one(number) for number in range(keys)))


def keys_of(node: Redis) -> list[str]:
    return node.cli("KEYS", "sidegate:*").split()


async def test_a_cluster_shares_the_keys_out_and_counts_exactly(tmp_path: Path) -> None:
    with redis_cluster(tmp_path) as nodes:
        async with instances(2, tmp_path, by_key(nodes[:1], "4/day"), 3) as gateways:
            first, second = await asyncio.gather(
                *(statuses(gateway, keys=30, times=4) for gateway in gateways)
            )
            for mine, other in zip(first, second, strict=True):
                assert sorted(mine + other) == [204] * 4 + [429] * 4
            assert all(len(keys_of(node)) > 2 for node in nodes)
            assert sum(len(keys_of(node)) for node in nodes) == 30


async def test_a_cluster_of_which_every_node_speaks_tls_alone(tmp_path: Path) -> None:
    """Nodes that others name are asked as the first is, and have to prove who they are."""
    authority = Authority(tmp_path)
    client = authority.issue("DNS:client.test")
    with redis_cluster(tmp_path, authority) as nodes:
        tls = {"ca_file": str(authority.ca_file), **client.config}
        store = {"cluster": [f"127.0.0.1:{nodes[0].port}"], "tls": tls}
        config = limited(store, limit="4/day", key="header:X-Key", algorithm="fixed_window")
        async with sharing(config, tmp_path, 3) as gateway:
            for row in await statuses(gateway, keys=30, times=5):
                assert row == [204] * 4 + [429]
            assert all(len(keys_of(node)) > 2 for node in nodes)
            assert sum(len(keys_of(node)) for node in nodes) == 30
            assert await counted(gateway, UNANSWERED) == 0
            # One that goes and comes back is entered in the same way.
            nodes[1].stop()
            await gateway.lines("the limit store can't be asked; limits are counted as "
                                "`on_store_failure` says")  # fmt: skip
            nodes[1].start()
            await gateway.lines("the limit store answers", count=4)


async def test_a_node_whose_certificate_nobody_trusts_is_asked_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    client = authority.issue("DNS:client.test")
    strangers = tmp_path / "strangers"
    strangers.mkdir()
    with redis_cluster(tmp_path, authority) as nodes:
        tls = {"ca_file": str(Authority(strangers).ca_file), **client.config}
        store = {"cluster": [f"127.0.0.1:{nodes[0].port}"], "tls": tls}
        async with running(limited(store, limit="4/day"), tmp_path) as gateway:
            assert await ask_times(gateway.url, 10) == {204: 4, 429: 6}, "counted locally"
        assert not any(keys_of(node) for node in nodes)


async def test_keys_that_move_to_another_node_keep_their_counts(tmp_path: Path) -> None:
    with redis_cluster(tmp_path) as nodes:
        async with sharing(by_key(nodes, "4/day"), tmp_path, 3) as gateway:
            assert await statuses(gateway, keys=1, times=2) == [[204, 204]]
            [source] = [node for node in nodes if keys_of(node)]
            target = next(node for node in nodes if node is not source)
            [key] = keys_of(source)
            slot = source.cli("CLUSTER", "KEYSLOT", key).strip()
            there = target.cli("CLUSTER", "MYID").strip()
            here = source.cli("CLUSTER", "MYID").strip()
            target.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
            source.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
            source.cli("MIGRATE", "127.0.0.1", str(target.port), key, "0", "5000")
            # Redis answers ASK: the slot is still the source's, and the key is elsewhere.
            assert await statuses(gateway, keys=1, times=1) == [[204]]
            for node in nodes:
                node.cli("CLUSTER", "SETSLOT", slot, "NODE", there)
            # And now MOVED, until Sidegate has asked who has what.
            assert await statuses(gateway, keys=1, times=2) == [[204, 429]]
            assert await counted(gateway, UNANSWERED) == 0


async def test_a_node_that_dies_leaves_the_others_alone(tmp_path: Path) -> None:
    with redis_cluster(tmp_path) as nodes:
        for node in nodes:
            node.cli("CONFIG", "SET", "cluster-require-full-coverage", "no")
        async with sharing(by_key(nodes, "1000000/day"), tmp_path, 3) as gateway:
            await statuses(gateway, keys=30, times=1)
            shares = [len(keys_of(node)) for node in nodes]
            nodes[0].stop()
            await gateway.lines("the limit store can't be asked; limits are counted as "
                                "`on_store_failure` says")  # fmt: skip
            before = await counted(gateway, "sidegate_rate_limit_unchecked", instead="local")
            assert all(row == [204] for row in await statuses(gateway, keys=30, times=1))
            after = await counted(gateway, "sidegate_rate_limit_unchecked", instead="local")
            assert after - before == shares[0], "its keys, and no others"
            nodes[0].start()
            await gateway.lines("the limit store answers", count=4)


async def test_a_fail_over_under_load_loses_no_request(tmp_path: Path) -> None:
    with watched_redis(tmp_path) as watched:
        store = {
            "sentinels": [f"127.0.0.1:{sentinel.port}" for sentinel in watched.sentinels],
            "master": "limits",
        }
        async with sharing(limited(store, limit="1000000/day"), tmp_path) as gateway:
            async with Load(gateway.url) as load:
                await load.some_more()
                watched.master.stop()
                await gateway.lines("the limit store answers", count=2)
                await load.some_more()
                before = watched.replica.scripts_run()
                await load.some_more()
                assert watched.replica.scripts_run() >= before + 150
            assert set(load.statuses) == {204}
            line = (await gateway.lines("the limit store answers", count=2))[-1]
            assert line["server"] == f"127.0.0.1:{watched.replica.port}"


async def test_a_master_that_is_one_no_more_is_left(tmp_path: Path) -> None:
    """It still answers; the Sentinels know better."""
    with watched_redis(tmp_path) as watched:
        store = {
            "sentinels": [f"127.0.0.1:{sentinel.port}" for sentinel in watched.sentinels],
            "master": "limits",
        }
        async with sharing(limited(store, limit="10/day"), tmp_path) as gateway:
            assert await ask_times(gateway.url, 4) == {204: 4}
            watched.sentinels[0].cli("SENTINEL", "FAILOVER", "limits")
            line = (await gateway.lines("the limit store answers", count=2))[-1]
            assert line["server"] == f"127.0.0.1:{watched.replica.port}"
            assert await ask_times(gateway.url, 12) == {204: 6, 429: 6}, "counts went along"


@pytest.mark.parametrize("password", ["right", "wrong"])
async def test_sentinels_and_servers_have_passwords_of_their_own(
    tmp_path: Path, password: str
) -> None:
    server = Redis(tmp_path / "redis", "--requirepass", "theirs")
    server.access = ("-a", "theirs")
    watching = Sentinel(
        tmp_path,
        server,
        "sentinel auth-pass limits theirs",
        "user default off",
        "user ask on >right +@all ~* &*",
    )
    watching.access = ("--user", "ask", "-a", "right")
    with running_server(server) as master, running_server(watching) as sentinel:
        store = {
            "sentinels": f"127.0.0.1:{sentinel.port}", "master": "limits", "password": "theirs",
            "sentinel_username": "ask", "sentinel_password": password,
        }  # fmt: skip
        async with running(limited(store, limit="5/day"), tmp_path) as gateway:
            if password == "right":
                [line] = await gateway.lines("the limit store answers")
                assert line["server"] == f"127.0.0.1:{master.port}"
                before = master.scripts_run()
                assert await ask_times(gateway.url, 8) == {204: 5, 429: 3}
                assert master.scripts_run() > before
            else:
                [line] = await gateway.lines("the limit store can't be asked; limits are counted "
                                             "as `on_store_failure` says")  # fmt: skip
                assert "WRONGPASS" in line["reason"]


async def test_sentinels_that_know_no_such_master_are_told_of(tmp_path: Path) -> None:
    with redis_server(tmp_path) as master, running_server(Sentinel(tmp_path, master)) as sentinel:
        store = {"sentinels": f"127.0.0.1:{sentinel.port}", "master": "other"}
        async with running(limited(store, limit="5/day"), tmp_path) as gateway:
            assert await ask_times(gateway.url, 8) == {204: 5, 429: 3}
            [line] = await gateway.lines("the limit store can't be asked; limits are counted as "
                                         "`on_store_failure` says")  # fmt: skip
            assert line["reason"] == "no Sentinel knows a master 'other'"
