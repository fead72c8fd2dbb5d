"""Sidegate in this process, on free ports, with its log in reach."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from proxy.app import App
from proxy.catalog import load_catalog
from proxy.config.load import Document, load
from proxy.process.solo import Solo
from proxy.telemetry.sink import Sink
from tests.integration.client import TIMEOUT
from tests.integration.origins import RawOrigin, Script

NOTHING: Final[Mapping[str, Any]] = {}


class Inside:
    """What only tests look at: the instance, and its worker in this very process."""

    def __init__(self, app: App, solo: Solo) -> None:
        self._app = app
        self.worker = solo.worker
        self.ready = app.ready
        self.reload = app.reload
        self.drain = app.drain

    def status(self) -> dict[str, Any]:
        """What goes on, and with which configuration."""
        return {**self._app.operations.facts(), **self.worker.status()}

    def upstreams(self) -> list[dict[str, Any]]:
        """Each endpoint with the state of its pool."""
        return self.worker.upstreams()


class Gateway:
    """A running proxy. url, admin: its addresses. file: its configuration."""

    def __init__(self, app: App, file: Path, log: Path, sink: Sink) -> None:
        assert isinstance(app.crew, Solo)
        self.app = Inside(app, app.crew)
        self._instance = app
        self.file = file
        self._log = log
        self._sink = sink

    @property
    def urls(self) -> list[str]:
        """Where clients connect."""
        return self._instance.addresses.shown

    @property
    def url(self) -> str:
        """The first of them."""
        return self.urls[0]

    @property
    def port(self) -> int:
        """The port of `url`."""
        return int(self.url.rpartition(":")[2])

    @property
    def admin(self) -> str:
        """Where operators connect."""
        return self._instance.admin_address

    async def lines(self, event: str = "request", count: int = 1) -> list[dict[str, Any]]:
        """The log lines of an event, once there are `count`."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                self._sink.flush()
                await asyncio.sleep(0.01)
                text = self._log.read_text(encoding="utf-8")
                # The last line may still be on its way.
                lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
                found = [line for line in lines if line["event"] == event]
                if len(found) >= count:
                    return found

    async def metrics(self) -> dict[str, float]:
        """What a scraper reads, by series as it is written: `name{label="value"}`."""
        async with aiohttp.ClientSession() as session, session.get(self.admin + "/metrics") as page:
            lines = (await page.text()).splitlines()
        samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {series: float(value) for series, _, value in samples}

    async def page(self, path: str) -> Any:
        """What the admin API shows, as JSON."""
        async with aiohttp.ClientSession() as session, session.get(self.admin + path) as page:
            return await page.json()

    async def reload(self) -> tuple[int, dict[str, Any]]:
        """Ask for a reload as an operator does; status and answer."""
        async with aiohttp.ClientSession() as session, session.post(self.admin + "/reload") as page:
            return page.status, await page.json()

    async def upgrade(self) -> None:
        """Begin what SIGUSR2 begins."""
        await self._instance.upgrade()

    def check(self) -> None:
        """After draining: nothing is left over, and nothing failed that nobody expected."""
        status = self.app.status()
        assert (status["in_flight"], status["connections"]) == (0, 0)
        busy = [pool for pool in self.app.upstreams() if pool["in_use"] or pool["waiting"]]
        assert not busy
        self._sink.close()
        for line in self._log.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            if told.get("logger", "").startswith("websockets"):
                # A service of a test, in this very process.
                continue
            assert told["level"] != "error" or told["event"].endswith(" goes on"), line

    def rewrite(self, config: dict[str, Any]) -> None:
        """Put another configuration into the file; the addresses stay as they were."""
        self.file.write_text(yaml.safe_dump(completed(config)), encoding="utf-8")

    async def raw(self, data: bytes, *, half_close: bool = False) -> bytes:
        """Send bytes and read until the proxy closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            if half_close:
                writer.write_eof()
            async with asyncio.timeout(TIMEOUT):
                with contextlib.suppress(ConnectionResetError):
                    return await reader.read()
            return b""
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def completed(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with free ports, and little patience with what a test leaves open."""
    server = {"listen": ["http://127.0.0.1:0"], "drain": {"timeout": "1s"}}
    return {
        "admin": {"listen": "http://127.0.0.1:0"},
        **config,
        "server": {**server, **config.get("server", {})},
    }


@contextlib.asynccontextmanager
async def running(config: dict[str, Any], folder: Path) -> AsyncIterator[Gateway]:
    """Run Sidegate with a configuration; `listen` and `admin` get free ports."""
    file, log = folder / "sidegate.yaml", folder / "sidegate.log"
    file.write_text(yaml.safe_dump(completed(config)), encoding="utf-8")

    def read() -> Document:
        return load(file, environ={})

    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC)
    sink = Sink(descriptor)
    app = App(read, load_catalog(), sink)
    try:
        await app.start()
        gateway = Gateway(app, file, log, sink)
        yield gateway
        await app.drain()
        gateway.check()
    finally:
        await app.close()
        os.close(descriptor)


@contextlib.asynccontextmanager
async def before(
    script: Script,
    folder: Path,
    *,
    upstream: Mapping[str, Any] = NOTHING,
    **config: Any,
) -> AsyncIterator[tuple[RawOrigin, Gateway]]:
    """Run Sidegate before a raw origin. upstream: options besides its endpoint."""
    async with RawOrigin(script) as origin:
        upstreams = {"service": {"endpoints": [origin.url], **upstream}}
        async with running({"upstreams": upstreams, **config}, folder) as gateway:
            yield origin, gateway
