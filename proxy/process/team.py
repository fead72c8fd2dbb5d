"""An instance of several processes: the supervisor's side.

May live here: how workers begin, are replaced when they crash, change their configuration
together, and end. Must not live here: what they serve (`worker`), or what makes the
configuration change (`app`). The supervisor itself accepts no connections.

A crashed worker's sockets, with the connections that wait in them, are lent to another one
until its replacement serves. That one gets the configuration in use, whatever the file says
by then. The same is done for a worker that doesn't answer; if it goes on so, it is killed.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Final

from proxy.config.problems import ConfigError
from proxy.control.channel import Descriptor
from proxy.control.line import ANSWER_SECONDS, GLANCE_SECONDS, Answers, Unanswered
from proxy.control.segments import Vault
from proxy.process.backoff import Backoff
from proxy.process.counts import open_ledger
from proxy.process.journal import Journal, redirect
from proxy.process.seat import Seat
from proxy.process.solo import Unready
from proxy.process.source import Generation
from proxy.process.version import VERSION
from proxy.runtime.rehearsal import rehearse
from proxy.server.sockets import Bound
from proxy.telemetry.ledger import forget_levels
from proxy.telemetry.levels import Levels
from proxy.telemetry.logs import BoundLogger, configure, loop_exception_handler
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.sink import Sink

BEAT_SECONDS: Final = 5.0
"""How often each worker is asked for a sign of life, and how long that may take."""
BEATS_MISSED: Final = 6
"""After so many in a row that didn't come a worker is killed; after one its share is lent."""

_CHANGE_SECONDS: Final = 30.0
_STACKS_SECONDS: Final = 0.5
_LAST_SECONDS: Final = 5.0


class Team:
    """So many workers in processes of their own. lock: the file that writers to the log lock."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sink: Sink, count: int, lock: Descriptor
    ) -> None:
        self._loop = loop
        self._sink = sink
        self._levels = Levels(time.monotonic)
        self._own = Journal(loop, sink, self._levels).commands()
        self._vault = Vault(loop)
        self._ledgers = {number: open_ledger(self._vault, number) for number in range(1, count + 1)}
        others = self._ledgers.values()
        self.counts = Metrics(VERSION, sink, time.time, others=others)
        self._lock = lock
        # From the start, since a count that appears with its first event shows no increase.
        self._restarts = self.counts.counter(
            "sidegate_worker_restarts_total", "Workers that ended and were replaced."
        )
        self._seats = [Seat(loop, number, count) for number in range(1, count + 1)]
        self._bound: dict[str, Bound] = {}
        self._prepared: tuple[Generation, Mapping[str, Bound]] | None = None
        # A replacement either begins before a change or after it.
        self._changing = asyncio.Lock()
        self._ending = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def log(self) -> BoundLogger:
        """Of the configuration in use."""
        return self._log

    @property
    def ready(self) -> bool:
        """At least one worker serves."""
        # Though they may all be slow at the same time, over a large configuration.
        return any(seat.serving for seat in self._seats)

    async def start(self, generation: Generation, bound: Mapping[str, Bound]) -> None:
        """Start the workers. Raises ConfigError, or Unready when one of them can't serve."""
        self._use(generation)
        self._loop.set_exception_handler(loop_exception_handler(self.log))
        _rehearse(generation)
        self._bound = dict(bound)
        problems = await asyncio.gather(*map(self._fill, self._seats))
        if found := [problem for some in problems for problem in some]:
            raise Unready(list(dict.fromkeys(found)))
        for seat in self._seats:
            self._spawn(self._keep(seat))

    async def prepare(self, generation: Generation, opened: Mapping[str, Bound]) -> None:
        """Have all workers build what a configuration asks for. Raises ConfigError, Unready."""
        _rehearse(generation)
        await self._all_answer()
        await self._changing.acquire()
        self._prepared = generation, opened
        try:
            found = await self._each(
                lambda seat: seat.change(
                    "prepare",
                    {"document": generation.document, "shares": seat.shares(opened)},
                    seconds=_CHANGE_SECONDS,
                )
            )
            problems = [problem for some in found.values() for problem in some]
            if problems:
                raise Unready(list(dict.fromkeys(problems)))
            # A worker that died meanwhile is replaced by one of the configuration that is
            # in use then; one that doesn't answer would serve by another than the rest.
            self._require(found)
        except BaseException:
            await self.discard()
            raise

    async def commit(self) -> None:
        """Have them all serve by it."""
        if self._prepared is None:
            raise RuntimeError("nothing was prepared")
        generation, opened = self._prepared
        self._prepared = None
        self._use(generation)
        listen = generation.plan.config.server.listen
        bound = {**self._bound, **opened}
        self._bound = {text: bound[text] for text in listen}
        await self._each(lambda seat: seat.change("commit", seconds=_CHANGE_SECONDS))
        self._changing.release()
        self._cover(anew=True)

    async def discard(self) -> None:
        """Have them stay with the one in use."""
        self._prepared = None
        await self._each(lambda seat: seat.change("discard", seconds=_CHANGE_SECONDS))
        self._changing.release()

    async def leave(self) -> None:
        """Have clients go elsewhere."""
        await self._each(lambda seat: seat.ask("leave"))

    async def retire(self, seconds: float) -> None:
        """Accept no more, and wait until all clients have gone elsewhere."""
        self._ending = True
        # All of them first: whom one has sent on, another would have to send on again.
        await self._each(lambda seat: seat.ask("close", seconds=GLANCE_SECONDS))
        await self._each(lambda seat: seat.ask("retire", seconds, seconds=seconds + _LAST_SECONDS))

    async def drain(self, seconds: float) -> int:
        """Accept no more, and finish; how many connections were broken off."""
        self._ending = True
        left = await self._each(
            lambda seat: seat.ask("drain", seconds, seconds=seconds + _LAST_SECONDS)
        )
        for seat in self._seats:
            seat.tell("end")
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await asyncio.gather(*(seat.ended() for seat in self._seats))
        except TimeoutError:
            self.log.warning("workers killed at the end of draining")
        return sum(left.values())

    async def close(self) -> None:
        """End at once whatever is left."""
        self._ending = True
        for seat in self._seats:
            seat.kill()
            await seat.ended()
        for task in list(self._tasks):
            task.cancel()
        self._vault.close()

    async def ask_all(self, name: str, argument: Any = None) -> list[Any]:
        """The answers of all workers that serve, in the order of their numbers."""
        return [*(await self.hear_all(name, argument)).given.values()]

    async def hear_all(
        self, name: str, argument: Any = None, *, seconds: float = ANSWER_SECONDS
    ) -> Answers:
        """The same, with the numbers, and who didn't answer."""
        if name in self._own:
            self._own[name](argument)
        able = [seat for seat in self._seats if seat.able]
        answers = await self._each(lambda seat: seat.ask(name, argument, seconds=seconds), able)
        return Answers(
            {seat.number: answers[seat] for seat in self._seats if seat in answers},
            [seat.number for seat in self._seats if seat not in answers],
        )

    async def expose(self, accept: str) -> tuple[str, bytes]:
        """Content type and exposition of what all workers have counted."""
        await self.hear_all("collect", seconds=GLANCE_SECONDS)
        return await self.counts.expose(accept)

    # -- one worker --------------------------------------------------------------------------

    async def _fill(self, seat: Seat) -> list[str]:
        """Have a new process serve at this place; the problems if it can't."""
        if self._ending:
            return []
        try:
            await seat.launch(self._vault)
            seat.on("ask_all", lambda told: self.ask_all(*told))
            seat.on("tell_others", lambda told: self._tell_others(seat, *told))
            self.log.info("worker started", worker=seat.number, pid=seat.pid)
            async with self._changing:
                told = {
                    "document": self._generation.document,
                    "shares": seat.shares(self._bound),
                    "log": self._lock,
                    "levels": self._levels.exempted(),
                    "workers": len(self._seats),
                }
                problems = await seat.begin(told)
        except (OSError, Unanswered) as error:
            problems = [f"worker {seat.number} does not start: {error}"]
        if problems:
            seat.kill()
        else:
            self.log.info("worker serves", worker=seat.number, pid=seat.pid)
        return problems

    async def _keep(self, seat: Seat) -> None:
        """Replace the process at this place whenever it ends."""
        backoff = Backoff()
        started = time.monotonic()
        while True:
            watch = self._spawn(self._watch(seat))
            how = await seat.ended()
            watch.cancel()
            if self._ending:
                return
            pause = backoff.after(time.monotonic() - started)
            self.log.error(
                "worker ended", worker=seat.number, pid=seat.pid, how=how, again_in=pause
            )
            self._restarts.inc()
            forget_levels(self._ledgers[seat.number])
            self._cover()
            await asyncio.sleep(pause)
            started = time.monotonic()
            problems = await self._fill(seat)
            if problems and not self._ending:
                self.log.error("worker does not serve", worker=seat.number, problems=problems)
            self._cover()

    async def _watch(self, seat: Seat) -> None:
        """Kill the process at this place when it gives no sign of life for too long.

        Several are waited for, since time goes by as well while all processes stand still.
        """
        while seat.missed < BEATS_MISSED:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await seat.ask("beat", seconds=BEAT_SECONDS)
            except Unanswered:
                seat.missed += 1
                if seat.missed == 1 and seat.serving:
                    self.log.warning("worker stands still", worker=seat.number, pid=seat.pid)
            else:
                if seat.missed:
                    self.log.info("worker answers again", worker=seat.number, pid=seat.pid)
                seat.missed = 0
            self._cover()
        self.log.error(
            "worker killed, as it gives no sign of life", worker=seat.number, pid=seat.pid
        )
        # Where it stands is written to standard error, if it still can be.
        seat.kill(signal.SIGQUIT)
        await asyncio.sleep(_STACKS_SECONDS)
        seat.kill()

    def _cover(self, *, anew: bool = False) -> None:
        """Have somebody accept in the place of each worker that doesn't.

        anew: also where somebody does, since the addresses have changed.
        """
        if self._ending:
            return
        for seat in self._seats:
            host = seat.lent_to
            if host is not None and (anew or seat.able or not host.able):
                host.tell("disown", seat.number)
                seat.lent_to = None
        able = [seat for seat in self._seats if seat.able]
        for seat in self._seats:
            if able and not seat.able and seat.lent_to is None:
                lent = [other.lent_to for other in self._seats]
                host = min(able, key=lent.count)
                host.tell("adopt", {"worker": seat.number, "shares": seat.shares(self._bound)})
                seat.lent_to = host

    def _tell_others(self, teller: Seat, name: str, argument: Any) -> None:
        """What one worker lets the others know."""
        for seat in self._seats:
            if seat is not teller and seat.serving:
                seat.tell(name, argument)

    # -- all of them --------------------------------------------------------------------------

    async def _all_answer(self) -> None:
        """Raise Unready when a worker stands still, before any of them has begun a change."""
        self._require(await self._each(lambda seat: seat.ask("beat", seconds=GLANCE_SECONDS)))

    def _require(self, answers: Collection[Seat]) -> None:
        """Raise Unready unless all that serve are among these."""
        silent = [seat for seat in self._seats if seat.serving and seat not in answers]
        if silent:
            raise Unready(
                [f"worker {seat.number} (process {seat.pid}) does not answer" for seat in silent],
                silent=[seat.number for seat in silent],
            )

    async def _each(self, ask: Any, seats: Sequence[Seat] = ()) -> dict[Seat, Any]:
        """Ask all that serve, or these, at once; the answers of those that gave one."""
        seats = seats or [seat for seat in self._seats if seat.serving]
        answers = await asyncio.gather(*map(ask, seats), return_exceptions=True)
        given: dict[Seat, Any] = {}
        for seat, answer in zip(seats, answers, strict=True):
            if isinstance(answer, Unanswered):
                self.log.warning("worker gave no answer", worker=seat.number, reason=str(answer))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                given[seat] = answer
        return given

    def _use(self, generation: Generation) -> None:
        self._generation = generation
        options = generation.plan.config.telemetry.log
        self._log = configure(
            options.level, options.format, self._sink, time.time, self._levels, options.file
        )
        redirect(self._sink, options.file, self._log)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _rehearse(generation: Generation) -> None:
    if problems := rehearse(generation.plan, generation.document):
        raise ConfigError(problems)
