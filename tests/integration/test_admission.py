"""Policies that decide who may come in at all, from the configuration to the client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.client import Answer, ask, request
from tests.integration.gateway import running
from tests.integration.origins import aiohttp_app

APP = "https://app.example.com"


async def test_each_gate_refuses_in_its_own_words(tmp_path: Path) -> None:
    policies: dict[str, Any] = {
        "hosts": ["service.test", "*.example.com"],
        "methods": ["GET", "POST"],
        "bots": {"kinds": "scanners"},
        "csrf": True,
        "ip_filter": "127.0.0.0/8",
    }
    cross = {"cookie": "s=1", "sec_fetch_site": "cross-site", "origin": "https://evil.test"}
    async with aiohttp_app() as service:
        config = {"upstreams": {"app": service}, "policies": policies}
        async with running(config, tmp_path) as gateway:

            async def answer(*args: Any, **fields: str) -> tuple[int, str]:
                came: Answer = await ask(gateway.url, request(*args, **fields))
                return came.status, came.error if came.status >= 400 else ""

            assert await answer() == (200, "")
            assert await answer("DELETE") == (405, "method_not_allowed")
            assert await answer("POST", "/", b"", **cross) == (403, "cross_site")
            assert await answer(user_agent="sqlmap/1.9") == (403, "bot_refused")
            elsewhere = request().replace(b"service.test", b"evil.test")
            refused = await ask(gateway.url, elsewhere)
            assert (refused.status, refused.error) == (421, "host_not_allowed")
            lines = await gateway.lines(count=5)
            assert lines[-1]["decisions"]["hosts"] == "refused"


async def test_in_shadow_everybody_comes_in_and_is_noted(tmp_path: Path) -> None:
    policies = {
        "hosts": {"allow": "other.test", "mode": "shadow"},
        "methods": {"allow": "POST", "mode": "shadow"},
        "bots": {"nameless": "refuse", "mode": "shadow"},
        "ip_filter": {"deny": "127.0.0.1", "mode": "shadow"},
    }
    async with aiohttp_app() as service:
        config = {"upstreams": {"app": service}, "policies": policies}
        async with running(config, tmp_path) as gateway:
            assert (await ask(gateway.url, request())).status == 200
            [line] = await gateway.lines()
            noted = {name: line["decisions"][name] for name in policies}
            assert noted == dict.fromkeys(policies, "would_refuse")


async def test_a_changed_list_of_addresses_is_read_again(tmp_path: Path) -> None:
    listed = tmp_path / "blocked.txt"
    listed.write_text("192.0.2.0/24\n")
    policies = {"ip_filter": {"deny_files": [str(listed)]}, "respond": 204}
    async with running({"policies": policies}, tmp_path) as gateway:
        assert (await ask(gateway.url, request())).status == 204
        listed.write_text("192.0.2.0/24\n127.0.0.0/8\n")
        await gateway.lines("configuration reloaded")
        assert (await ask(gateway.url, request())).status == 403
        listed.write_text("nonsense\n")
        [line] = await gateway.lines("configuration not reloaded; the old one goes on")
        assert "blocked.txt, line 1" in line["problems"][0]
        assert (await ask(gateway.url, request())).status == 403, "the old list goes on"


async def test_the_address_is_the_one_that_may_be_believed(tmp_path: Path) -> None:
    for trusted, status in (([], 204), (["127.0.0.0/8"], 403)):
        config = {
            "server": {"trusted_proxies": trusted},
            "policies": {"ip_filter": {"deny": "192.0.2.0/24"}, "respond": 204},
        }
        async with running(config, tmp_path) as gateway:
            said = await ask(gateway.url, request(x_forwarded_for="192.0.2.7"))
            assert said.status == status


@pytest.mark.parametrize("origin", [APP, "https://evil.test"])
async def test_a_preflight_is_answered_by_the_route_of_its_method(
    tmp_path: Path, origin: str
) -> None:
    async with aiohttp_app() as service:
        config = {
            "upstreams": {"app": service},
            "routes": [
                {
                    "name": "orders",
                    "match": {"path": "/orders", "methods": ["POST"]},
                    "policies": {"cors": {"origins": APP, "credentials": True}},
                },
                {"name": "rest", "match": {"path": "/orders"}},
            ],
        }
        async with running(config, tmp_path) as gateway:
            asking = {"origin": origin, "access_control_request_method": "POST"}
            answer = await ask(gateway.url, request("OPTIONS", "/orders", **asking))
            assert answer.status == 204
            allowed = answer.headers.get("access-control-allow-origin")
            assert allowed == (APP if origin == APP else None)
            assert "x-request-id" in answer.headers
            # An OPTIONS request that announces nothing goes to the service as before.
            plain = await ask(gateway.url, request("OPTIONS", "/orders"))
            assert plain.status != 204
            first, second = await gateway.lines(count=2)
            assert (first["route"], second["route"]) == ("orders", "rest")
            assert first["decisions"]["cors"] == "answered"


async def test_a_page_may_read_why_it_was_refused(tmp_path: Path) -> None:
    """Errors carry the fields too; without them a script learns nothing but that it failed."""
    policies = {"cors": APP, "rate_limit": {"limit": "1/min"}, "respond": 204}
    async with running({"policies": policies}, tmp_path) as gateway:
        asking = {"origin": APP, "access_control_request_method": "PUT"}
        for _ in range(3):
            preflight = await ask(gateway.url, request("OPTIONS", "/", **asking))
            assert preflight.status == 204, "preflights take nothing from the allowance"
        assert (await ask(gateway.url, request(origin=APP))).status == 204
        refused = await ask(gateway.url, request(origin=APP))
        assert refused.status == 429
        assert refused.headers["access-control-allow-origin"] == APP
        assert refused.headers["vary"] == "Origin"
