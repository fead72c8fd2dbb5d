"""The composition root: an instance of Sidegate from its configuration to its end.

Here it is decided who serves, this process alone or several workers, and everything is put
together. Reload has whoever serves build the new configuration and then use it, or keeps the
old one and says why; draining lets every request finish.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Iterable
from typing import Any, Final

import uvloop

from proxy.admin.api import ReloadReport, make_admin
from proxy.admin.site import AdminSite, open_site
from proxy.catalog import Catalog
from proxy.config.problems import ConfigError
from proxy.control.channel import Descriptor
from proxy.control.line import Unanswered
from proxy.process import handover
from proxy.process.cores import cores
from proxy.process.crash import flush_on_crash
from proxy.process.heap import settle_heap
from proxy.process.notify import notify, prove_life
from proxy.process.operations import Operations
from proxy.process.solo import Serving, Solo, Unready
from proxy.process.source import Generation, Load, Source
from proxy.process.team import Team
from proxy.server.addresses import Addresses, close
from proxy.server.sockets import ListenError, describe
from proxy.telemetry.logs import BoundLogger
from proxy.telemetry.sink import FLUSH_SECONDS, Sink
from proxy.wire.parser import EngineError, require_c_parsers

_PATIENCE_SECONDS: Final = 5.0
# What these ask for while nothing runs, no longer or not yet, is no reason to end.
_REQUESTS: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def run(load: Load, catalog: Catalog) -> int:
    """Run until a signal says stop. Returns the exit code: 0, or 1 when it could not start."""
    _ignore_requests()
    try:
        require_c_parsers()
        line = os.environ.pop(handover.VARIABLE, None)
        loose = handover.inherited(os.environ)
        sink = Sink(sys.stdout.fileno())
        flush_on_crash(sink)
        app = App(load, catalog, sink, loose=loose, line=None if line is None else int(line))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(app.run())
        _ignore_requests()
        return code
    except (ConfigError, EngineError, ListenError, Unanswered, Unready) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _ignore_requests() -> None:
    for number in _REQUESTS:
        signal.signal(number, signal.SIG_IGN)


class App:
    """One instance. Raises ConfigError when the configuration can't be used.

    loose: sockets of a service manager. line: descriptor of the line to the process that
    this one takes the place of.
    """

    crew: Serving
    addresses: Addresses

    def __init__(
        self,
        load: Load,
        catalog: Catalog,
        sink: Sink,
        *,
        loose: Iterable[socket.socket] = (),
        line: int | None = None,
    ) -> None:
        self._sink = sink
        self._loose = list(loose)
        self._line = line
        self._log_lock: Descriptor | None = None
        self._source = Source(load, catalog)
        self._generation = self._source.first
        self._stop = asyncio.Event()
        self._relieved = asyncio.Event()
        self._successor: handover.Successor | None = None
        self._reloading = asyncio.Lock()
        self._reload_asked = False
        self._unready = "starting"
        self._admin = AdminSite()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> int:
        """Start, serve until told to stop, drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        loop.add_signal_handler(signal.SIGUSR2, lambda: self._spawn(self.upgrade()))
        loop.add_signal_handler(signal.SIGUSR1, lambda: self._spawn(self._reopen()))
        try:
            await self.start()
            stopped = loop.create_task(self._stop.wait())
            relieved = loop.create_task(self._relieved.wait())
            await asyncio.wait({stopped, relieved}, return_when=asyncio.FIRST_COMPLETED)
            if not self._stop.is_set():
                retired = loop.create_task(self.retire())
                await asyncio.wait({stopped, retired}, return_when=asyncio.FIRST_COMPLETED)
            await self.drain()
        finally:
            await self.close()
        return 0

    async def start(self) -> None:
        """Open everything. Raises ConfigError, ListenError, Unready or Unanswered."""
        loop = self._loop = asyncio.get_running_loop()
        plan = self._generation.plan
        wanted = plan.config.server.workers
        count = cores() if wanted == "auto" else wanted
        predecessor, estate = None, handover.NOTHING
        if self._line is not None:
            predecessor = handover.Predecessor(loop, self._line)
            estate = await predecessor.estate()
        if estate.log is not None:
            self._share_log(estate.log)
        self.addresses = Addresses(loop, "server.listen", count, estate.served, self._loose)
        self._operators = Addresses(loop, "admin.listen", 1, estate.admin, self._loose)
        if count == 1:
            self.crew = Solo(loop, self._sink)
        else:
            self.crew = Team(loop, self._sink, count, self._share_log())
        self._flush()
        listen = plan.config.server.listen
        self.addresses.replace(listen, await self.addresses.open(listen))
        listen = _admin_listen(self._generation)
        self._operators.replace(listen, await self._operators.open(listen))
        await self.crew.start(self._generation, self.addresses.bound)
        self.crew.counts.reloaded(True, plan.digest)
        self.operations = Operations(self, self._generation)
        self._admin = await self._open_admin()
        self._spawn(self._source.watch(self._reload_in_the_end))
        self._disclaim()
        settle_heap()
        self._unready = ""
        if predecessor is not None:
            predecessor.relieve()
        notify(os.environ, "READY=1")
        self._spawn(prove_life(os.environ, self._relieved))
        self.log.info(
            "ready",
            listen=self.addresses.shown,
            admin=self._admin.address,
            workers=count,
            routes=len(plan.routes),
            upstreams=len(plan.config.upstreams),
            digest=plan.digest[:12],
        )

    @property
    def log(self) -> BoundLogger:
        """Of the configuration in use."""
        return self.crew.log

    @property
    def admin_address(self) -> str:
        """Where the admin API listens, empty when it is turned off."""
        return self._admin.address

    def ready(self) -> tuple[bool, str]:
        """Whether to send traffic here, and if not, why."""
        reason = self._unready or ("" if self.crew.ready else "no worker serves")
        return not reason, reason or "ready"

    def stop(self) -> None:
        """Begin to drain; a second call breaks everything off."""
        if self._stop.is_set():
            sys.exit(1)
        self._stop.set()

    async def drain(self) -> None:
        """Fail readiness, stop accepting after the delay, and let requests finish."""
        options = self._generation.plan.config.server.drain
        self._unready = "draining"
        if not self._relieved.is_set():
            # Afterwards it is another process that the service manager has to do with.
            notify(os.environ, "STOPPING=1")
        if self._successor is not None:
            self._successor.kill()
        elif not self._relieved.is_set():
            # A change that has begun is finished first, unless that takes too long.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_SECONDS), self._reloading:
                    pass
        self.log.info("draining", delay=options.delay, timeout=options.timeout)
        if options.delay and not self._relieved.is_set():
            await self.crew.leave()
            await asyncio.sleep(options.delay)
        self.addresses.close()
        left = await self.crew.drain(options.timeout)
        if left:
            self.log.warning("connections broken off at the end of draining", connections=left)

    async def retire(self) -> None:
        """Leave new connections to the process that has taken this one's place."""
        options = self._generation.plan.config.server.drain
        self._unready = "retired"
        self.addresses.close()
        self._operators.close()
        await self._admin.close()
        await self.crew.retire(options.upgrade)

    async def close(self) -> None:
        """Close what is open; harmless when little is."""
        if hasattr(self, "addresses"):
            self.addresses.close()
            self._operators.close()
        for task in list(self._tasks):
            task.cancel()
        if hasattr(self, "crew"):
            await self.crew.close()
        await self._admin.close()
        if hasattr(self, "operations"):
            self.log.info("stopped")
        self._sink.close()

    # -- upgrade -------------------------------------------------------------------------

    async def upgrade(self) -> None:
        """Start the process that is to take the place of this one, and hand everything on."""
        if os.getpid() == 1:
            self.log.error(
                "upgrade failed; the old process goes on",
                reason="a container ends with its first process: start another container",
            )
            return
        await self._reloading.acquire()
        if self._stop.is_set():
            self._reloading.release()
            return
        lock = self._share_log()

        def estate() -> handover.Estate:
            return handover.Estate(self.addresses.bound, self._operators.bound, lock)

        def serving(pid: int) -> None:
            self._successor = None
            notify(os.environ, f"MAINPID={pid}")
            self.log.info("upgraded; the old process takes no new connections", pid=pid)
            self._relieved.set()

        def failed(reason: str) -> None:
            self._successor = None
            if not self._relieved.is_set():
                self.log.error("upgrade failed; the old process goes on", reason=reason)
                self._reloading.release()

        try:
            self._successor = handover.Successor(self._loop, estate, serving, failed)
        except OSError as error:
            failed(f"it can't be started: {describe(error)}")
        else:
            self.log.info("upgrade begins", pid=self._successor.pid)

    def _share_log(self, lock: Descriptor | None = None) -> Descriptor:
        """Have other processes write to the log as well."""
        if self._log_lock is None:
            self._log_lock = lock or Descriptor(os.memfd_create("sidegate log", os.MFD_CLOEXEC))
            self._sink.share(self._log_lock.number)
        return self._log_lock

    def _disclaim(self) -> None:
        self.addresses.disclaim()
        self._operators.disclaim()
        for sock in self._loose:
            self.log.warning("a socket handed over is not configured", address=sock.getsockname())
            sock.close()
        self._loose.clear()

    # -- reload --------------------------------------------------------------------------

    async def reload(self) -> ReloadReport:
        """Read the configuration again and swap it in, or keep the old one and say why."""
        async with self._reloading:
            self._reload_asked = False
            if self._stop.is_set():
                return ReloadReport(False, self._generation.plan.digest, ["it is about to end"])
            report = await self._reload()
        self.operations.reloaded(report, self._generation)
        self.crew.counts.reloaded(report.ok, report.digest)
        if report.ok:
            self.log.info("configuration reloaded", digest=report.digest[:12])
        else:
            self.log.error(
                "configuration not reloaded; the old one goes on", problems=report.problems
            )
        return report

    async def _reload_in_the_end(self) -> None:
        """Reload, and later if a worker doesn't answer, since nobody asks once more."""
        if (await self.reload()).silent:
            self._loop.call_later(_PATIENCE_SECONDS, self._reload_soon)

    async def _reload(self) -> ReloadReport:
        silent: tuple[int, ...] = ()
        try:
            generation = await self._loop.run_in_executor(None, self._source.read)
            await self._swap(generation)
        except (ConfigError, ListenError, Unready) as error:
            problems = str(error).splitlines()
            silent = error.silent if isinstance(error, Unready) else ()
        except Exception as error:
            self.log.error("reload failed", exc_info=error)
            problems = [f"the configuration can't be used ({type(error).__name__})"]
        else:
            return ReloadReport(True, generation.plan.digest, [])
        self._source.follow(self._generation, attempted=True)
        return ReloadReport(False, self._generation.plan.digest, problems, silent)

    async def _swap(self, generation: Generation) -> None:
        """Use another configuration; whatever is raised leaves the old one in use."""
        config, before = generation.plan.config, self._generation.plan.config
        listen, operators = config.server.listen, _admin_listen(generation)
        opened = await self.addresses.open(listen)
        try:
            opened_admin = await self._operators.open(operators)
            try:
                await self.crew.prepare(generation, opened)
            except BaseException:
                close(opened_admin)
                raise
        except BaseException:
            close(opened)
            raise
        await self.crew.commit()
        self.addresses.replace(listen, opened)
        if operators != _admin_listen(self._generation):
            self._operators.replace(operators, opened_admin)
            # Beside this, since the reload may have been asked for through it.
            self._spawn(self._admin.close())
            self._admin = await self._open_admin()
        if config.server.workers != before.server.workers:
            self.log.warning("the number of workers changes at the next start or upgrade (SIGUSR2)")
        self._generation = generation
        self._source.follow(generation)

    def _reload_soon(self) -> None:
        if not self._reload_asked:
            # One that waits for its turn will read what is there by then.
            self._reload_asked = True
            self._spawn(self._reload_in_the_end())

    async def _reopen(self) -> None:
        problems = [problem for problem in await self.crew.ask_all("log_reopen") if problem]
        if problems:
            self.log.error("the log file can't be opened anew", problems=problems)

    # -- what goes on beside -------------------------------------------------------------

    async def _open_admin(self) -> AdminSite:
        sites = self._operators.bound.values()
        sockets = [sock.dup() for bound in sites for sock in bound.sockets]
        api = make_admin(self.operations, wall=time.time, log=self.log)
        return await open_site(api, sockets, "".join(self._operators.shown))

    def _flush(self) -> None:
        self._loop.call_later(FLUSH_SECONDS, self._flush)
        self._sink.flush()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("background task failed", exc_info=error)


def _admin_listen(generation: Generation) -> tuple[str, ...]:
    listen = generation.plan.config.admin.listen
    return () if listen is None else (listen,)
