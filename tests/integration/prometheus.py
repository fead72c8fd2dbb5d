"""A real Prometheus, scraping what a test runs, with the rules that Sidegate generates."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from proxy.observability.files import make_files, write_files
from tests.integration.client import TIMEOUT
from tests.integration.ports import free_port

PROGRAM: Final = shutil.which("prometheus") or "prometheus"
PROMTOOL: Final = shutil.which("promtool") or "promtool"


class Prometheus:
    """A running server. url: of its API."""

    def __init__(self, url: str, session: aiohttp.ClientSession, log: Path) -> None:
        self.url = url
        self._session = session
        self._log = log
        self._at = ""

    async def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query: labels in `metric`, and `value`."""
        parameters = {"query": expression}
        if self._at:
            # What the last scrape that is known of brought, whatever became of a later one.
            parameters["time"] = self._at
        async with self._session.get(self.url + "/api/v1/query", params=parameters) as page:
            told = await page.json()
        assert told["status"] == "success", f"{expression}: {told.get('error')}"
        result: list[dict[str, Any]] = told["data"]["result"]
        return result

    async def values(self, expression: str, label: str) -> dict[str, float]:
        """The values of an expression, by one label."""
        return {
            series["metric"].get(label, ""): float(series["value"][1])
            for series in await self.ask(expression)
        }

    async def exemplars(self, name: str) -> list[dict[str, Any]]:
        """The exemplars of a metric, by series."""
        parameters = {"query": name, "start": "0", "end": "9999999999"}
        url = self.url + "/api/v1/query_exemplars"
        async with self._session.get(url, params=parameters) as page:
            found: list[dict[str, Any]] = (await page.json())["data"]
            return found

    async def scraped(self) -> None:
        """Return after another scrape has begun and ended well; questions are about it then."""
        began = time.time()
        # A proxy that is too busy to answer in time has `up` be 0.
        latest = 'timestamp(up{job="sidegate"}) * up{job="sidegate"}'
        late = time.monotonic() + TIMEOUT
        self._at = ""
        while not self._at:
            for series in await self.ask(latest):
                if float(series["value"][1]) > began:
                    self._at = series["value"][1]
            assert time.monotonic() < late, self._log.read_text(encoding="utf-8")
            await asyncio.sleep(0.1)

    async def ready(self) -> bool:
        """It answers queries."""
        try:
            async with self._session.get(self.url + "/-/ready") as page:
                return page.status == 200
        except aiohttp.ClientError:
            return False


@contextlib.asynccontextmanager
async def scraping(admin: str, folder: Path) -> AsyncIterator[Prometheus]:
    """Run Prometheus on the metrics of a proxy, twice a second. admin: its admin address."""
    place = folder / "prometheus"
    write_files(place, make_files())
    (place / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
                "rule_files": ["recording-rules.yaml", "alert-rules.yaml"],
                "scrape_configs": [
                    {
                        "job_name": "sidegate",
                        "static_configs": [{"targets": [admin.removeprefix("http://")]}],
                    }
                ],
            }
        )
    )
    port = free_port()
    log = place / "log"
    process = _start(place, port, log)
    try:
        async with aiohttp.ClientSession() as session:
            server = Prometheus(f"http://127.0.0.1:{port}", session, log)
            late = time.monotonic() + TIMEOUT
            while not await server.ready():
                assert process.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < late, log.read_text(encoding="utf-8")
                await asyncio.sleep(0.1)
            yield server
    finally:
        process.terminate()
        process.wait()


def _start(place: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    command = (
        PROGRAM,
        f"--config.file={place}/prometheus.yml",
        f"--storage.tsdb.path={place}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    )
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)


def promtool(*arguments: str, given: bytes = b"") -> str:
    """What promtool says. Raises AssertionError when it finds fault."""
    run = subprocess.run(
        [PROMTOOL, *arguments], input=given, capture_output=True, check=False, timeout=300
    )
    said = (run.stdout + run.stderr).decode()
    assert run.returncode == 0, said
    return said
