"""What has been purged, for all instances to read: numbered in Redis, and read as it is written.

May live here: how a purge reaches the instances that are there, and those that were away. Must
not live here: what a purge does.

A reader waits on a connection of its own for what is written next. Whoever was away reads all
that it missed; if that isn't there any more, it can't know what is outdated, and purges all.
Purges that are said while Redis is away are written once it is back, before anything that is
kept there is used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

import hiredis

from proxy.store.purge import KINDS, Kind, Purge
from proxy.store.purges import REMEMBERED, Purges, Verdict
from proxy.store.redis.access import FAILURES, Access, Unfit, open_connection
from proxy.store.redis.connection import Connection
from proxy.store.redis.inquiry import Source, Word, read_lua
from proxy.store.redis.topology import Topology, slot_of

_HOME: Final = "purges"
_BLOCK_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.1
_PENDING_MAX: Final = 1000
_KINDS: Final[dict[str, Kind]] = {kind: kind for kind in KINDS}
_ANNOUNCE: Final = Source(read_lua("announce"))
_CATCH_UP: Final = Source(read_lua("catch_up"))


class Run(Protocol):
    """Runs a script in a slot, by its home; the answer, or None when there is none of use."""

    async def __call__(self, script: Source, home: str, keys: Sequence[str], *words: Word) -> Any:
        """Run it."""
        ...


class Say(Protocol):
    """Writes a log line."""

    def __call__(self, level: Literal["info", "warning"], event: str, **facts: str) -> None:
        """Write it."""
        ...


class Bulletin:
    """Reads and writes purges.

    prefix: of all keys. purge: what one does in this process. random: bytes that nobody
    guesses. run: on the connections that everything else is asked on. connected: set once it
    was known for the first time what has been purged.
    """

    def __init__(
        self,
        prefix: str,
        loop: asyncio.AbstractEventLoop,
        topology: Topology,
        access: Access,
        purge: Callable[[Purge], Coroutine[Any, Any, int]],
        random: Callable[[int], bytes],
        run: Run,
        say: Say,
    ) -> None:
        base = f"{prefix}{{{_HOME}}}"
        self._keys = (f"{base}:count", f"{base}:log")
        self._note = f"{base}:note:"
        self._loop = loop
        self._topology = topology
        self._access = access
        self._purge = purge
        self._random = random
        self._run = run
        self._say = say
        self._purges: Purges | None = None
        # Said here, and not read back yet: what is kept in Redis may be older than that.
        self._pending: dict[str, Purge] = {}
        self._unwritten: dict[str, Purge] = {}
        self._written: set[str] = set()
        self._connection: Connection | None = None
        self._live = False
        self._ended = False
        self.connected = asyncio.Event()

    @property
    def mark(self) -> str:
        """As `Purges.mark`; empty while it isn't known what has been purged."""
        return self._purges.mark if self._live and self._purges is not None else ""

    def judge(self, mark: str, url: str, tags: Sequence[str]) -> Verdict:
        """As `Purges.judge`, with what was said here and is on its way."""
        if self._purges is None:
            return "gone"
        verdict = self._purges.judge(mark, url, tags)
        for purge in self._pending.values():
            if verdict != "gone" and purge.selects(url, tags):
                verdict = "spoilt" if purge.soft else "gone"
        return verdict

    def expect(self, purge: Purge, name: str) -> str:
        """A purge is going to be announced; its name, which is new unless one is given."""
        name = name or self._random(8).hex()
        self._pending[name] = purge
        if len(self._pending) > _PENDING_MAX:
            self._pending = {name: Purge("all")}
            self._unwritten = dict(self._pending)
        return name

    def dismiss(self, name: str) -> None:
        """It was read back, or is not going to be announced after all."""
        self._pending.pop(name, None)
        self._written.discard(name)

    async def announce(self, purge: Purge, name: str) -> bool:
        """Write down for all what was expected; False if that has to wait for Redis.

        What is announced by several under one name is written once.
        """
        if self._live and await self._write(name, purge):
            return True
        self._unwritten[name] = purge
        # It is written first of all once there is a connection again.
        self._hang_up()
        return False

    async def read(self) -> None:
        """Read for ever what is written."""
        while not self._ended:
            node = self._topology.node(slot_of(_HOME.encode()))
            if node is not None and node.usable and node.address is not None:
                try:
                    self._connection = await open_connection(
                        self._loop, node.address, self._access, lambda: None, lambda _: None
                    )
                    await self._follow(self._connection)
                except FAILURES as error:
                    if isinstance(error, hiredis.ReplyError):
                        self._topology.doubt()
                finally:
                    self._hang_up()
            await asyncio.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        """Read no more."""
        self._ended = True
        self._hang_up()

    def _hang_up(self) -> None:
        self._live = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    async def _write(self, name: str, purge: Purge) -> bool:
        keys = [*self._keys, self._note + name]
        words = (self._epoch(), REMEMBERED, purge.kind, purge.text, int(purge.soft), name)
        if await self._run(_ANNOUNCE, _HOME, keys, *words) is None:
            return False
        self._written.add(name)
        return True

    def _epoch(self) -> str:
        """A name for a count that would begin now."""
        return self._random(8).hex()

    async def _follow(self, connection: Connection) -> None:
        last = b"0-0"
        while not self._live:
            for name, purge in list(self._unwritten.items()):
                if not await self._write(name, purge):
                    raise Unfit("it does not take purges")
                self._unwritten.pop(name, None)
            last = await self._catch_up(connection)
            self._live = not self._unwritten
        self.connected.set()
        _, log = self._keys
        block = round(_BLOCK_SECONDS * 1000)
        patience = _BLOCK_SECONDS + _PATIENCE_SECONDS
        while self._live:
            answer = await connection.call(
                "XREAD", "BLOCK", block, "STREAMS", log, last, seconds=patience
            )
            for identity, fields in answer[0][1] if answer else ():
                last = identity
                if not await self._take(fields):
                    # Something is missing in between.
                    return

    async def _catch_up(self, connection: Connection) -> bytes:
        """Take in all that is written; where it ends."""
        epoch, number, lines = await connection.call(
            "EVAL", _CATCH_UP.text, 2, *self._keys, self._epoch(), seconds=_PATIENCE_SECONDS
        )
        entries = [_read(fields) for _, fields in lines]
        floor = entries[0].number - 1 if entries else number
        known, purges = self._purges, Purges(epoch.decode("latin-1"), floor)
        missed: list[Purge] = []
        for entry in entries:
            purges.add(entry.number, entry.purge)
            if known is not None and entry.number > known.number:
                missed.append(entry.purge)
        self._purges = purges
        for name in self._written:
            self._pending.pop(name, None)
        self._written.clear()
        if known is not None and (known.epoch != purges.epoch or known.number < floor):
            self._say("warning", "purges of other instances were missed; the cache is emptied")
            missed = [Purge("all")]
        for purge in missed:
            await self._purge(purge)
        return lines[-1][0] if lines else b"0-0"

    async def _take(self, fields: Sequence[bytes]) -> bool:
        """Take in what was written next; False if it isn't what should come next."""
        entry, purges = _read(fields), self._purges
        if purges is None or (entry.epoch, entry.number) != (purges.epoch, purges.number + 1):
            return False
        purges.add(entry.number, entry.purge)
        await self._purge(entry.purge)
        self.dismiss(entry.name)
        return True


class _Entry(NamedTuple):
    """What is written of a purge."""

    epoch: str
    number: int
    name: str
    purge: Purge


def _read(fields: Sequence[bytes]) -> _Entry:
    """Read it; what can't be understood means everything."""
    texts = [field.decode("utf-8", "surrogateescape") for field in fields]
    told = dict(zip(texts[::2], texts[1::2], strict=False))
    try:
        purge = Purge(_KINDS[told["kind"]], told.get("text", ""), told.get("soft") == "1")
    except (KeyError, ValueError):
        purge = Purge("all")
    number = told.get("number", "")
    return _Entry(
        told.get("epoch", ""), int(number) if number.isdigit() else 0, told.get("name", ""), purge
    )
