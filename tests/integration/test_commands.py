"""Commands that meet a running instance or a real service."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration import fastapi_service
from tests.integration.gateway import running
from tests.integration.process import ROOT

RESPOND: dict[str, Any] = {"routes": [{"name": "all", "policies": {"respond": {"status": 204}}}]}


async def sidegate(*arguments: str, **environ: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "proxy", *arguments],
        cwd=ROOT, env={"PATH": os.defpath, **environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


class TestHealth:
    async def test_an_instance_that_serves(self, tmp_path: Path) -> None:
        async with running(RESPOND, tmp_path) as gateway:
            for arguments in (["--admin", gateway.admin], ["--admin", gateway.admin, "--live"]):
                code, out = await sidegate("health", *arguments)
                assert (code, out) == (0, "alive\n" if "--live" in arguments else "ready\n")

    async def test_the_address_is_the_configurations(self, tmp_path: Path) -> None:
        async with running(RESPOND, tmp_path) as gateway:
            port = gateway.admin.rpartition(":")[2]
            # As it would listen in a container.
            environ = {"SIDEGATE_ADMIN__LISTEN": f"http://0.0.0.0:{port}"}
            assert await sidegate("health", str(gateway.file), **environ) == (0, "ready\n")
            environ["SIDEGATE_CONFIG"] = str(gateway.file)
            assert await sidegate("health", **environ) == (0, "ready\n")

    async def test_a_unix_socket(self, tmp_path: Path) -> None:
        admin = f"unix:{tmp_path}/admin.sock"
        async with running({**RESPOND, "admin": {"listen": admin}}, tmp_path):
            assert await sidegate("health", "--admin", admin) == (0, "ready\n")

    async def test_one_that_drains(self, tmp_path: Path) -> None:
        config = {**RESPOND, "server": {"drain": {"delay": "3s"}}}
        async with running(config, tmp_path) as gateway:
            draining = asyncio.ensure_future(gateway.app.drain())
            await gateway.lines("draining")
            asked = ("health", "--admin", gateway.admin)
            ready, live = await asyncio.gather(sidegate(*asked), sidegate(*asked, "--live"))
            assert ready == (1, "not ready: draining\n")
            assert live[0] == 0
            await draining

    async def test_nobody_there(self) -> None:
        code, out = await sidegate("health", "--admin", "http://127.0.0.1:1")
        assert (code, out) == (1, "not reached at http://127.0.0.1:1: Connection refused\n")

    @pytest.mark.parametrize(
        ("admin", "reason"), [("null", "nobody to ask"), ("https://a", "not an address")]
    )
    async def test_no_address(self, admin: str, reason: str, tmp_path: Path) -> None:
        file = tmp_path / "sidegate.yaml"
        file.write_text("upstreams: {app: http://127.0.0.1:1}\nadmin: {listen: null}\n")
        arguments = ["--admin", admin] if admin != "null" else [str(file)]
        code, out = await sidegate("health", *arguments)
        assert code == 2
        assert reason in out


async def test_routes_proposed_for_a_real_service_serve_it(tmp_path: Path) -> None:
    """And nothing else of it."""
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(fastapi_service.app.openapi()), encoding="utf-8")
    file = tmp_path / "proposed.yaml"
    code, out = await sidegate(
        "init", "--upstream", "3000", "--openapi", str(description), "--output", str(file)
    )
    assert code == 0, out
    code, out = await sidegate("check", str(file))
    assert code == 0, out
    code, out = await sidegate("explain", str(file), "GET", "http://a/openapi.json", "--json")
    assert json.loads(out)["outcome"] == "route_not_found"
    code, out = await sidegate("explain", str(file), "POST", "http://a/orders", "--json")
    assert json.loads(out)["upstream"]["name"] == "app"
