"""Limits by the admin API: what they are, how a key stands, a new start for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.client import ask, request
from tests.integration.gateway import Gateway, running
from tests.integration.limit_load import ask_times, instances, limited
from tests.integration.process import process
from tests.integration.redis import Redis, redis_server

CONFIG: dict[str, Any] = {
    "policies": {
        "rate_limit": {
            "limits": ["5/hour", {"limit": "100/day", "key": "global", "name": "all"}],
            "tiers": {"127.0.0.1": "9/hour"},
            "tier": "header:X-Plan",
        }
    },
    "routes": [
        {"name": "rest", "policies": {"respond": 204}},
        {
            "name": "login",
            "match": {"path": "/login"},
            "policies": {
                "rate_limit": {"limit": "2/hour", "key": ["client_ip", "header:X-User"]},
                "respond": 204,
            },
        },
    ],
}


async def call(
    gateway: Gateway, target: str, method: str = "GET", **headers: str
) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, gateway.admin + target, headers=headers) as page,
    ):
        return page.status, await page.json()


async def test_what_limits_there_are(tmp_path: Path) -> None:
    async with running(CONFIG, tmp_path) as gateway:
        status, page = await call(gateway, "/limits")
        assert status == 200
        everywhere, login = sorted(page["limits"], key=lambda row: row["policy"])
        assert everywhere["policy"] == "*"
        assert [row["name"] for row in everywhere["limits"]] == ["5/hour", "all"]
        assert everywhere["tiers"]["127.0.0.1"][0]["limit"] == 9
        assert login["policy"] == "login"
        assert login["limits"][0] == {
            "name": "2/hour", "algorithm": "gcra", "limit": 2, "period": 3600.0, "burst": 2,
            "key": ["client_ip", "header:X-User"], "cost": 1,
        }  # fmt: skip


async def test_how_a_key_stands_and_a_new_start(tmp_path: Path) -> None:
    async with running(CONFIG, tmp_path) as gateway:
        for _ in range(7):
            await ask(gateway.url, request())
        status, page = await call(gateway, "/limits/*?key=127.0.0.1")
        assert status == 200
        [row] = page["limits"]
        assert (row["name"], row["admits"], row["remaining"]) == ("5/hour", False, 0)
        assert 600 < row["retry_after"] <= 720
        assert row["counted"] == "in the store"
        [row] = (await call(gateway, "/limits/*"))[1]["limits"]
        assert (row["name"], row["remaining"]) == ("all", 95)
        [row] = (await call(gateway, "/limits/*?key=192.0.2.9"))[1]["limits"]
        assert (row["admits"], row["remaining"]) == (True, 5)
        status, page = await call(gateway, "/limits/*?key=127.0.0.1", "DELETE")
        assert (status, page["limits"][0]["remaining"]) == (200, 5)
        assert (await ask(gateway.url, request())).status == 204
        assert len(await gateway.lines("limit reset")) == 1


async def test_a_key_of_several_parts_and_a_tier(tmp_path: Path) -> None:
    async with running(CONFIG, tmp_path) as gateway:
        await ask(gateway.url, request("GET", "/login", x_user="ann"))
        target = "/limits/login?key=127.0.0.1&key=ann"
        assert (await call(gateway, target))[1]["limits"][0]["remaining"] == 1
        await ask(gateway.url, request("GET", "/", x_plan="127.0.0.1"))
        target = "/limits/*?key=127.0.0.1&tier=127.0.0.1"
        assert (await call(gateway, target))[1]["limits"][0]["remaining"] == 8


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/limits/logn?key=a", 'no limits called "logn"; did you mean "login"?'),
        ("/limits/login?key=a", "Give `key` once for each part of the key, which is client_ip and"),
        ("/limits/*?key=a&key=b", "which is client_ip, or global"),
        ("/limits/*?key=a&tier=gold", "no tier 'gold'; known are 127.0.0.1"),
        ("/limits/*?keys=a", 'parameter "keys"; known are key and tier.'),
    ],
)
async def test_what_can_t_be_told_is_told_how_to_ask(
    target: str, words: str, tmp_path: Path
) -> None:
    async with running(CONFIG, tmp_path) as gateway:
        for method in ("GET", "DELETE"):
            status, page = await call(gateway, target, method)
            assert (status, page["error"]) == (400, "bad_request")
            assert words in page["detail"]


async def test_a_page_of_another_site_resets_nothing(tmp_path: Path) -> None:
    async with running(CONFIG, tmp_path) as gateway:
        status, page = await call(
            gateway, "/limits/*?key=127.0.0.1", "DELETE", Origin="https://evil.example"
        )
        assert (status, page["error"]) == (403, "forbidden")


async def test_a_reset_reaches_all_instances_and_their_leases(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        config = limited(redis.url, limit="10/day", precision="leased", lease=4)
        async with instances(2, tmp_path, config) as gateways:
            for gateway in gateways:
                await ask_times(gateway.url, 20)
            assert (await call(gateways[0], "/limits/all", "DELETE"))[0] == 200
            admitted = [(await ask_times(gateway.url, 20))[204] for gateway in gateways]
            assert 10 <= sum(admitted) <= 14
            _, page = await call(gateways[0], "/limits/all")
            assert page["limits"][0]["remaining"] == 0


async def test_of_several_workers_any_one_knows(tmp_path: Path) -> None:
    config = {"server": {"workers": 2}, **limited({}, limit="20/day")}
    with process(config, tmp_path) as sidegate:
        await ask_times(sidegate.url, 12)
        answer = await ask(sidegate.admin, request("GET", "/limits/all"))
        assert answer.json["limits"][0]["remaining"] == 8
        await ask(sidegate.admin, request("DELETE", "/limits/all"))
        answer = await ask(sidegate.admin, request("GET", "/limits/all"))
        assert answer.json["limits"][0]["remaining"] == 20


@pytest.mark.parametrize(("instead", "status"), [("local", 200), ("open", 503), ("closed", 503)])
async def test_without_the_store(instead: str, status: int, tmp_path: Path) -> None:
    nowhere = Redis(tmp_path / "nowhere")
    config = limited(nowhere.url, limit="5/day", on_store_failure=instead)
    async with running(config, tmp_path) as gateway:
        told, page = await call(gateway, "/limits/all")
        assert told == status
        if told == 200:
            assert page["limits"][0]["counted"] == "locally"
        else:
            assert page["error"] == "limit_unavailable"
        told, page = await call(gateway, "/limits/all", "DELETE")
        assert (told, page["error"]) == (503, "limit_unavailable")
