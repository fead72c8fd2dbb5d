"""Active checks of real services: what they find, and where an operator sees it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.integration.client import ask, request, until
from tests.integration.faults import endpoints
from tests.integration.gateway import Gateway, running
from tests.integration.origins import OK, RawOrigin, answering
from tests.integration.ports import free_port

QUICK = {"interval": "50ms", "timeout": "5s", "rise": 2, "fall": 2}


def states(gateway: Gateway) -> list[str]:
    return [row["health"] for row in gateway.app.upstreams()]


def service(*urls: str, **health: Any) -> dict[str, Any]:
    options = {"endpoints": list(urls), "health": {**QUICK, **health}}
    return {"upstreams": {"service": options}, "policies": {"retry": False}}


async def test_a_service_that_is_unwell_is_left_alone_until_it_is_well(tmp_path: Path) -> None:
    with endpoints(2) as (one, other):
        async with running(service(one.url, other.url, path="/healthz"), tmp_path) as gateway:
            await until(lambda: states(gateway) == ["healthy"] * 2)
            one.behave("error")
            await until(lambda: states(gateway) == ["unhealthy: status 503", "healthy"])
            for _ in range(20):
                assert (await ask(gateway.url, request())).status == 200
            metrics = await gateway.metrics()
            place = f'endpoint="{one.url}",upstream="service"'
            assert metrics[f"sidegate_upstream_endpoint_up{{{place}}}"] == 0
            checks = f'sidegate_upstream_health_checks_total{{endpoint="{one.url}",result="bad"'
            assert any(series.startswith(checks) and value for series, value in metrics.items())
            *_, told = await gateway.lines("endpoint is unhealthy")
            assert (told["endpoint"], told["cause"]) == (one.url, "status 503")
            one.behave("ok")
            await until(lambda: states(gateway) == ["healthy"] * 2)


@pytest.mark.parametrize(
    ("mode", "health", "found"),
    [
        ("stall", {"path": "/", "timeout": "200ms"}, "unhealthy: no answer in time"),
        ("garbage", {"path": "/"}, "unhealthy: "),
        ("reset", {"path": "/"}, "unhealthy: "),
        ("slow", {"path": "/", "latency": "50ms", "timeout": "5s"}, "unhealthy: slow"),
        ("ok", {"path": "/", "body": "fine"}, "unhealthy: the body has not the text"),
        ("ok", {"path": "/", "body": "ok"}, "healthy"),
        ("error", {"path": "/", "status": [503]}, "healthy"),
        ("error", {}, "healthy"),
    ],
)
async def test_what_checks_find(
    mode: str, health: dict[str, Any], found: str, tmp_path: Path
) -> None:
    with endpoints(1) as (one,):
        one.behave(mode)
        async with running(service(one.url, **health), tmp_path) as gateway:
            await until(lambda: states(gateway) != ["unchecked"])
            assert states(gateway)[0].startswith(found)


async def test_one_that_cannot_be_reached_is_unhealthy_from_the_first_check(
    tmp_path: Path,
) -> None:
    async with RawOrigin(answering(OK)) as origin:
        down = f"http://127.0.0.1:{free_port()}"
        async with running(service(origin.url, down), tmp_path) as gateway:
            await until(lambda: "unchecked" not in states(gateway))
            for _ in range(20):
                assert (await ask(gateway.url, request())).status == 200


async def test_checks_end_with_the_configuration_that_asked_for_them(tmp_path: Path) -> None:
    with endpoints(1) as (one,):
        config = service(one.url, path="/healthz")
        async with running(config, tmp_path) as gateway:
            await until(lambda: states(gateway) == ["healthy"])
            gateway.rewrite({"upstreams": {"service": one.url}})
            assert (await gateway.reload())[0] == 200
            before = one.asked
            await asyncio.sleep(0.5)
            # Ten would have come; one may have been on its way.
            assert one.asked <= before + 1
