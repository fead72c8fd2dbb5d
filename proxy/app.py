"""The composition root: a worker from its configuration to its end.

Everything is put together here and only here: state, telemetry, gateway, listeners, admin.
Reload compiles a new gateway and swaps it in, or keeps the old one and says why; draining
lets every request finish.
"""

from __future__ import annotations

import asyncio
import gc
import platform
import signal
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import uvloop

from proxy.admin.api import ReloadReport, make_admin
from proxy.admin.site import AdminSite, open_site
from proxy.catalog import Catalog
from proxy.cells import Traffic
from proxy.config.load import Document
from proxy.config.problems import ConfigError
from proxy.routing.match import read_rules
from proxy.routing.precedence import arrange
from proxy.runtime.compile import Compiler
from proxy.runtime.plan import Plan, make_plan
from proxy.runtime.state import State
from proxy.runtime.watch import Watch
from proxy.server.listener import Listener
from proxy.server.ports import ListenError, Ports, describe
from proxy.store.memory import Memory
from proxy.telemetry.access_log import AccessLog
from proxy.telemetry.logs import BoundLogger, configure, loop_exception_handler, make_console
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.observer import Observer
from proxy.telemetry.sink import Sink
from proxy.upstream.pool import Pool
from proxy.wire.deadlines import INTERVAL
from proxy.wire.parser import EngineError, require_c_parsers

VERSION: Final = version("sidegate")

Load = Callable[[], Document]

_FLUSH_SECONDS: Final = 0.2
_WATCH_SECONDS: Final = 1.0


def run(load: Load, catalog: Catalog) -> int:
    """Run until a signal says stop. Returns the exit code: 0, or 1 when it could not start."""
    try:
        require_c_parsers()
        app = App(load, catalog, Sink(sys.stdout.fileno()))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(app.run())
    except (ConfigError, EngineError, ListenError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


class App:
    """One worker. Raises ConfigError when the configuration can't be used."""

    def __init__(self, load: Load, catalog: Catalog, sink: Sink) -> None:
        self._load = load
        self._catalog = catalog
        self._sink = sink
        self._read_last: tuple[Path, ...] = ()
        self._document, self._plan = self._read()
        self._watch = Watch({*self._read_last, *self._plan.files()})
        self._stop = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._ready = "starting"
        self._started = time.time()
        self._loaded = self._started
        self._last_reload: dict[str, Any] | None = None
        self._admin = AdminSite()

    async def run(self) -> int:
        """Start, serve until told to stop, drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        try:
            await self.start()
            await self._stop.wait()
            await self.drain()
        finally:
            await self.close()
        return 0

    async def start(self) -> None:
        """Open everything. Raises ConfigError or ListenError."""
        loop = asyncio.get_running_loop()
        self.log = self._configure_logs(self._plan)
        loop.set_exception_handler(loop_exception_handler(self.log))
        traffic = Traffic()
        self._counts = Metrics(VERSION, self._sink, time.time, self._pools, traffic)
        store = Memory(time.monotonic)
        self._state = State(loop, time.monotonic, time.time, store, self._counts, self.log, traffic)
        self.ports = Ports(loop, self._listener)
        compiler = self._compiler(self._document, self._plan)
        self._gateway = compiler.compile()
        self._counts.reloaded(True, self._plan.digest)
        await self.ports.update(self._plan.config.server, self._gateway)
        self._admin = await self._open_admin(self._plan.config.admin.listen)
        self._sweep()
        self._flush()
        self._state.spawn(self._watch_files())
        # What exists now lives until the end; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        self._ready = ""
        self.log.info(
            "ready",
            listen=sorted(self.ports.bound.values()),
            admin=self._admin.address,
            routes=len(self._plan.routes),
            upstreams=len(self._plan.config.upstreams),
            digest=self._plan.digest[:12],
        )

    @property
    def admin_address(self) -> str:
        """Where the admin API listens, empty when it is turned off."""
        return self._admin.address

    def stop(self) -> None:
        """Begin to drain; a second call breaks everything off."""
        if self._stop.is_set():
            sys.exit(1)
        self._stop.set()

    async def drain(self) -> None:
        """Fail readiness, stop accepting after the delay, and let requests finish."""
        options = self._plan.config.server.drain
        self._ready = "draining"
        self.log.info("draining", delay=options.delay, timeout=options.timeout)
        await asyncio.sleep(options.delay)
        left = await self.ports.drain(options.timeout)
        if left:
            self.log.warning("connections broken off at the end of draining", connections=left)

    async def close(self) -> None:
        """Close what is open; harmless when little is."""
        if hasattr(self, "ports"):
            self.ports.close()
        if hasattr(self, "_state"):
            self._state.close()
        await self._admin.close()
        if hasattr(self, "log"):
            self.log.info("stopped")
        self._sink.close()

    # -- reload --------------------------------------------------------------------------

    def _reload_soon(self) -> None:
        self._state.spawn(self._reload_quietly())

    async def _reload_quietly(self) -> None:
        await self.reload()

    async def reload(self) -> ReloadReport:
        """Read the configuration again and swap it in, or keep the old one and say why."""
        async with self._reloading:
            report = await self._reload()
        self._last_reload = {"ok": report.ok, "at": time.time(), "problems": report.problems}
        self._counts.reloaded(report.ok, report.digest)
        if report.ok:
            self._loaded = time.time()
            self.log.info("configuration reloaded", digest=report.digest[:12])
        else:
            self.log.error(
                "configuration not reloaded; the old one goes on", problems=report.problems
            )
        return report

    async def _reload(self) -> ReloadReport:
        loop = asyncio.get_running_loop()
        try:
            document, plan = await loop.run_in_executor(None, self._read)
            await self._swap(document, plan)
        except (ConfigError, ListenError) as error:
            problems = str(error).splitlines()
        except Exception as error:
            self.log.error("reload failed", exc_info=error)
            problems = [f"the configuration can't be used ({type(error).__name__})"]
        else:
            return ReloadReport(True, plan.digest, [])
        # What was read in vain is watched as well: it may be where the mistake is.
        self._watch.follow({*self._files(self._document), *self._plan.files(), *self._read_last})
        return ReloadReport(False, self._plan.digest, problems)

    async def _swap(self, document: Document, plan: Plan) -> None:
        """Use another configuration; whatever is raised leaves the old one in use."""
        self._state.log = self._configure_logs(plan)
        admin = self._admin
        try:
            compiler = self._compiler(document, plan)
            gateway = compiler.compile()
            if plan.config.admin != self._plan.config.admin:
                admin = await self._open_admin(plan.config.admin.listen)
            await self.ports.update(plan.config.server, gateway)
        except BaseException:
            self._state.log = self._configure_logs(self._plan)
            if admin is not self._admin:
                await admin.close()
            raise
        if admin is not self._admin:
            # Beside this, since the reload may have been asked for through it.
            self._state.spawn(self._admin.close())
            self._admin = admin
        self._document, self._plan, self._gateway = document, plan, gateway
        self.log = self._state.log
        self._state.keep_only(compiler.used)
        self._watch.follow({*self._files(document), *plan.files()})

    def _files(self, document: Document) -> list[Path]:
        """The files that a change of would change the configuration."""
        upstreams = document.config.upstreams.values()
        authorities = [Path(tls.ca_file) for tls in (up.tls for up in upstreams) if tls.ca_file]
        return [*document.sources, *authorities]

    def _compiler(self, document: Document, plan: Plan) -> Compiler:
        options = plan.config.telemetry.log
        console = make_console(options.format, self._sink)
        access_log = AccessLog(options, self._sink, time.time, console)
        return Compiler(plan, document, self._state, Observer(self._counts, access_log))

    def _configure_logs(self, plan: Plan) -> BoundLogger:
        options = plan.config.telemetry.log
        return configure(options.level, options.format, self._sink, time.time)

    def _pools(self) -> list[Pool]:
        return self._state.pools()

    def _read(self) -> tuple[Document, Plan]:
        document = self._load()
        self._read_last = tuple(self._files(document))
        return document, make_plan(document, self._catalog)

    async def _watch_files(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if self._watch.changed():
                # Writers may still be at it: the file is read once it has settled.
                await asyncio.sleep(_FLUSH_SECONDS)
                self._watch.changed()
                await self.reload()

    # -- periodic work ---------------------------------------------------------------------

    def _sweep(self) -> None:
        # First, so that one sweep that fails is not the last.
        asyncio.get_running_loop().call_later(INTERVAL, self._sweep)
        self._state.deadlines.sweep()

    def _flush(self) -> None:
        asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._flush)
        self._sink.flush()

    def _listener(self, scheme: str, port: str) -> Listener:
        state = self._state
        return Listener(
            state.loop, state.clock, state.wall, state.deadlines, state.traffic, scheme, port,
            self._gateway, self._plan.config.server,
        )  # fmt: skip

    # -- what the admin API asks (`admin.api.Operator`) ---------------------------------------

    async def _open_admin(self, text: str | None) -> AdminSite:
        try:
            return await open_site(make_admin(self, wall=time.time, log=self.log), text)
        except (OSError, UnicodeError) as error:
            raise ListenError(f"can't listen on {text} for admin: {describe(error)}") from None

    def ready(self) -> tuple[bool, str]:
        """Whether to send traffic here, and if not, why."""
        return not self._ready, self._ready or "ready"

    def config(self) -> dict[str, Any]:
        """The effective configuration, without what came from `!file`."""
        shown: dict[str, Any] = self._document.hide_all(self._plan.config.model_dump(mode="json"))
        return shown

    def routes(self) -> list[dict[str, Any]]:
        """The routes by precedence, with their policies in the order they act."""
        hide = self._document.hide_all
        rules = arrange(read_rules([route.match for route in self._plan.routes]))
        return [
            {
                "name": route.name,
                "match": hide(route.match.model_dump(mode="json", exclude_defaults=True)),
                "upstream": route.upstream,
                "body_limit": route.body_limit,
                "policies": [
                    {
                        "name": policy.spec.name,
                        "mode": policy.options.mode,
                        "from": str(policy.place or "default"),
                        "options": hide(policy.options.model_dump(mode="json")),
                    }
                    for policy in route.policies
                ],
            }
            for route in (self._plan.routes[rule.index] for rule in rules)
        ]

    def upstreams(self) -> list[dict[str, Any]]:
        """Each endpoint with the state of its pool."""
        return [
            {
                "upstream": pool.upstream,
                "endpoint": pool.endpoint,
                "size": pool.size,
                "overflow": pool.overflow,
                "in_use": pool.in_use,
                "idle": pool.idle,
                "waiting": pool.waiting,
                "opened": pool.opened,
                "closed": dict(pool.closed),
                "retries": dict(pool.retries),
            }
            for pool in self._state.pools()
        ]

    async def metrics(self, accept: str) -> tuple[str, bytes]:
        """Content type and exposition; rendered beside the loop, which it would stall."""
        return await self._counts.expose(accept)

    def status(self) -> dict[str, Any]:
        """What runs here, since when, with which configuration."""
        return {
            "version": VERSION,
            "python": platform.python_version(),
            "started": self._started,
            "config": {"digest": self._plan.digest, "loaded": self._loaded},
            "last_reload": self._last_reload,
            "listen": sorted(self.ports.bound.values()),
            "in_flight": self._state.traffic.in_flight,
            "connections": self._state.traffic.open,
        }
