"""One process that serves: its state, its gateway, its listeners.

May live here: how a worker is put together, and how it changes from one configuration to
the next. Must not live here: where configurations come from, signals, the admin API; those
are the instance's (`app`), which has one worker in its own process or several in others.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy.cells import Traffic
from proxy.config.model import Drain
from proxy.control.line import Colleagues, Handler
from proxy.control.segments import Segments
from proxy.process.desks import Desks, LimitQuestion
from proxy.process.journal import Journal, check_file, redirect
from proxy.process.limits import open_memory
from proxy.process.remotes import Remotes
from proxy.process.source import Generation
from proxy.process.version import VERSION
from proxy.process.warming import Warmer
from proxy.runtime.compile import Compiler
from proxy.runtime.encryption import Encryption, dates, make_encryption
from proxy.runtime.gateway import Gateway
from proxy.runtime.state import State
from proxy.runtime.strain import StrainMeter
from proxy.runtime.upstreams import Upstreams
from proxy.server.listener import Listener
from proxy.server.ports import Ports, Share
from proxy.store.trove import Trove
from proxy.telemetry.certificates import CertificateDates
from proxy.telemetry.ledger import Ledger
from proxy.telemetry.levels import Levels
from proxy.telemetry.logs import BoundLogger, configure, loop_exception_handler
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.observation import Observation
from proxy.telemetry.sink import Sink
from proxy.upstream.pool import Pool
from proxy.wire.deadlines import INTERVAL

Shares = Mapping[str, Share]


@dataclass(frozen=True, slots=True)
class _Prepared:
    generation: Generation
    gateway: Gateway
    upstreams: Upstreams
    encryption: Encryption | None
    desks: Desks


class Worker:
    """Serves one configuration after another. Raises ConfigError when the first can't be used.

    number: of the worker among several, which are `workers`; both are 0 for the only one.
    segments: memory shared with the other workers. ledger: where it counts; in memory of its
    own by default. colleagues: the other workers, None when there are none.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sink: Sink,
        segments: Segments,
        generation: Generation,
        *,
        number: int = 0,
        workers: int = 0,
        ledger: Ledger | None = None,
        colleagues: Colleagues | None = None,
    ) -> None:
        self._sink = sink
        self._number = number
        self._generation = generation
        self._levels = Levels(time.monotonic)
        self.journal = Journal(loop, sink, self._levels)
        log = self._configure_logs(generation)
        loop.set_exception_handler(loop_exception_handler(log))
        traffic = Traffic()
        self.counts = Metrics(VERSION, sink, time.time, self._pools, traffic, ledger)
        self._observation = Observation(
            VERSION, sink, self.counts, self._levels, time.monotonic, time.time, os.urandom
        )
        self.segments = segments
        config = generation.plan.config
        counted = open_memory(
            segments, number, workers, config.store.keys, self.counts, time.monotonic, time.time,
            os.urandom,
        )  # fmt: skip
        trove = Trove(config.cache.memory, config.cache.object, self.counts, colleagues)
        self._state = State(
            loop, time.monotonic, time.time, counted, trove, self.counts, log, traffic
        )  # fmt: skip
        self._remotes = Remotes(
            loop, counted, trove, self._state.spawn, os.urandom, self.counts,
            lambda: self._state.log,
        )  # fmt: skip
        self._turned_away = self.counts.counter(
            "sidegate_connections_refused_total",
            "Connections that ended before HTTP, by a failed handshake or a bad PROXY header.",
        )
        self._warmer = Warmer(
            time.monotonic, self._state.spawn, self.counts, lambda: self._state.log
        )
        self.ports = Ports(loop, self._listener, self._refused)
        self._encryption: Encryption | None = None
        self._certificates = CertificateDates(self.counts)
        self._prepared: _Prepared | None = self._compile(generation)
        self._gateway = self._prepared.gateway
        self._desks = self._prepared.desks
        self.commands: dict[str, Handler] = {
            "status": lambda _: self.status(),
            "upstreams": lambda _: self.upstreams(),
            "balance": lambda _: self._state.balance(),
            "collect": lambda _: self.counts.collect(),
            **self.journal.commands(),
            "cache": lambda _: trove.facts() | {"warming": self._warmer.facts()},
            "purge": lambda asked: trove.purge_all(*asked),
            "forget": self._state.trove.forgotten,
            "limits": lambda _: self._desks.describe(),
            "limit": self.limit,
        }
        """What this worker does when the instance asks it, by name: see `control.line`."""
        self._meter = StrainMeter(self._state.strain, INTERVAL)
        self._sweep()

    @property
    def log(self) -> BoundLogger:
        """Of the configuration in use."""
        log: BoundLogger = self._state.log  # type: ignore[assignment]
        return log

    @property
    def draining(self) -> Drain:
        """How to stop."""
        return self._generation.plan.config.server.drain

    async def drain(self, seconds: float) -> int:
        """Accept no more, and let connections finish what they do, and policies what they began
        aside, for so many seconds at most. Returns how many connections were broken off."""
        end = self._state.clock() + seconds
        self._warmer.stop()
        left = await self.ports.drain(seconds)
        await self._state.finish(max(0.0, end - self._state.clock()))
        return left

    def prepare(self, generation: Generation) -> None:
        """Build what another configuration asks for. Raises ConfigError and changes nothing."""
        self._state.log = self._configure_logs(generation)
        try:
            self._prepared = self._compile(generation)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Stay with the configuration in use after all."""
        self._prepared = None
        self._state.log = self._configure_logs(self._generation)
        self._remotes.keep_only(self._generation.plan.config)

    async def commit(self, shares: Shares) -> None:
        """Serve by what was prepared. shares: of the addresses that are new."""
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            raise RuntimeError("nothing was prepared")
        self._generation, self._gateway = prepared.generation, prepared.gateway
        self._desks = prepared.desks
        self._encryption = prepared.encryption
        self._certificates.show(dates(prepared.encryption))
        redirect(self._sink, self._generation.plan.config.telemetry.log.file, self.log)
        tls = None if prepared.encryption is None else prepared.encryption.context
        settings = prepared.generation.plan.config.server
        await self._remotes.connected(prepared.generation.plan.config)
        await self.ports.update(settings, self._gateway, shares, tls)
        prepared.upstreams.adopt()
        self._remotes.keep_only(prepared.generation.plan.config)
        telemetry = prepared.generation.plan.config.telemetry
        await self._state.loop.run_in_executor(None, self._observation.keep_only, telemetry)
        memory = prepared.generation.plan.config.cache
        self._state.trove.resize(memory.memory, memory.object)
        self._warmer.use(self._gateway, prepared.generation.plan.config)

    def close(self) -> None:
        """Close what is open. Traces that wait are sent, for which this may block 2 s."""
        self._observation.close()
        self.ports.close()
        self._remotes.close()
        self._state.close()

    def status(self) -> dict[str, Any]:
        """What goes on here."""
        return {
            "worker": self._number,
            "pid": os.getpid(),
            "in_flight": self._state.traffic.in_flight,
            "connections": self._state.traffic.open,
        }

    async def limit(self, question: LimitQuestion) -> dict[str, Any]:
        """How a key of a limit stands."""
        return await self._desks.answer(question)

    def upstreams(self) -> list[dict[str, Any]]:
        """Each endpoint with its health and the state of its pool."""
        return self._state.endpoints()

    def _compile(self, generation: Generation) -> _Prepared:
        plan = generation.plan
        telemetry = plan.config.telemetry
        check_file(telemetry.log.file, generation.document)
        self._state.store, self._state.depot = self._remotes.find(generation)
        observer, tracer = self._observation.begin(
            telemetry, plan.places, self._state.log, generation.document.hide
        )
        compiler = Compiler(plan, generation.document, self._state, observer, tracer)
        gateway = compiler.compile()
        encryption = make_encryption(generation.document, self._encryption)
        desks = Desks(compiler.policies)
        return _Prepared(generation, gateway, compiler.upstreams, encryption, desks)

    def _configure_logs(self, generation: Generation) -> BoundLogger:
        options = generation.plan.config.telemetry.log
        log = configure(
            options.level, options.format, self._sink, time.time, self._levels, options.file
        )
        return log.bind(worker=self._number) if self._number else log

    def _pools(self) -> list[Pool]:
        return self._state.pools()

    def _refused(self, peer: str, reason: str) -> None:
        self._turned_away.inc()
        self.log.warning("connection refused", peer=peer, reason=reason)

    def _sweep(self) -> None:
        # First, so that one sweep that fails is not the last.
        self._state.loop.call_later(INTERVAL, self._sweep)
        self.counts.lag.observe(self._meter.tick(self._state.clock()))
        self._state.deadlines.sweep()

    def _listener(self, scheme: str, port: str) -> Listener:
        state = self._state
        return Listener(
            state.loop, state.clock, state.wall, state.deadlines, state.turn, state.pipes,
            state.traffic, scheme, port, self._gateway, self._generation.plan.config.server,
        )  # fmt: skip
