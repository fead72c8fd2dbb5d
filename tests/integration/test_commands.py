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
from tests.integration.client import ask, request, until
from tests.integration.command import command
from tests.integration.gateway import running
from tests.integration.origins import Holding, RawOrigin
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
        script = Holding()
        async with RawOrigin(script) as origin:
            config = {"upstreams": {"a": origin.url}, "server": {"drain": {"timeout": "30s"}}}
            async with running(config, tmp_path) as gateway:
                held = asyncio.ensure_future(ask(gateway.url, request()))
                await until(lambda: script.asked == 1)
                draining = asyncio.ensure_future(gateway.app.drain())
                await gateway.lines("draining")
                asked = ("health", "--admin", gateway.admin)
                ready, live = await asyncio.gather(sidegate(*asked), sidegate(*asked, "--live"))
                assert ready == (1, "not ready: draining\n")
                assert live[0] == 0
                script.free.set()
                assert (await held).status == 200
                await draining

    def test_it_loads_no_more_than_it_needs(self) -> None:
        """Containers run it every few seconds."""
        script = (
            "import sys; from proxy.__main__ import main; main(); "
            "print({'aiohttp', 'proxy.contract', 'proxy.catalog'} & set(sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, "health", "--admin", "http://127.0.0.1:1"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == "set()"

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

    @pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
    async def test_no_time(self, seconds: str) -> None:
        code, out = await sidegate("health", f"--timeout={seconds}")
        assert code == 2
        assert "--timeout: write a number of seconds above 0" in out


def test_routes_proposed_for_a_real_service_serve_it(tmp_path: Path) -> None:
    """And nothing else of it."""
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(fastapi_service.app.openapi()), encoding="utf-8")
    file = tmp_path / "proposed.yaml"
    code, out = command(
        "init", "--upstream", "3000", "--openapi", str(description), "--output", str(file)
    )
    assert code == 0, out
    code, out = command("check", str(file))
    assert code == 0, out
    code, out = command("explain", str(file), "GET", "http://a/openapi.json", "--json")
    assert json.loads(out)["outcome"] == "route_not_found"
    code, out = command("explain", str(file), "POST", "http://a/orders", "--json")
    assert json.loads(out)["upstream"]["name"] == "app"
