"""Questions about one key: what is sent, and what becomes of it where Redis sends it elsewhere.

May live here: names of keys, calls of the script, redirections. Must not live here: what an
answer means for a request (`limiter`), servers and connections (`node`, `topology`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, Protocol

import hiredis

from proxy.limits import Quota, Reading
from proxy.store.redis.connection import Connection, pack
from proxy.store.redis.node import Node
from proxy.store.redis.scripts import Script, describe
from proxy.store.redis.topology import Topology, slot_of

Failure = Literal["deadline", "lost", "error", "open"]
Deed = Literal["take", "look", "charge", "give", "hold", "lease"]

_HOMES_MAX: Final = 4096
_NO_TIME: Final = 0
# Answers that say that a server can't serve at all, for now or any more.
_UNFIT: Final = ("READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "UNBLOCKED")
_REDIRECTS_MAX: Final = 5
_ASKING: Final = pack("ASKING")


class Home(NamedTuple):
    """Where the records of one key are."""

    slot: int
    keys: tuple[bytes, ...]


class Circumstances(Protocol):
    """What limiters share.

    loop: whose clock deadlines are of. topology: the servers. prefix: of all keys. worker: a
    name of this worker, which no other one has. deadline: seconds.
    """

    loop: asyncio.AbstractEventLoop
    topology: Topology
    prefix: str
    worker: bytes
    deadline: float

    def failed(self, why: Failure, text: str) -> None:
        """A question has got no answer that was of use, or was not put at all, since the
        circuit is open. text: of an error."""
        ...


class Asker:
    """Puts the questions of one limiter. identity: equal ones share their counts."""

    def __init__(self, store: Circumstances, identity: str, quotas: tuple[Quota, ...]) -> None:
        self.store = store
        self.script = Script([quota.algorithm for quota in quotas])
        self._quotas = tuple(describe(quota) for quota in quotas)
        self._person = blake2b(f"{identity}/{quotas}".encode(), digest_size=16).digest()
        self._usual = self._with_times([_NO_TIME] * len(quotas))
        self.home = lru_cache(_HOMES_MAX)(self._find_home)

    def ask(
        self,
        home: Home,
        deed: Deed,
        cost: int,
        *,
        more: int = 0,
        times: Reading = (),
        answered: Callable[[list[int]], None] | None = None,
        failed: Callable[[], None] | None = None,
    ) -> None:
        """Ask about a key. more: as in `scripts`. times: when what is given back was taken.
        answered, failed: one of them is called, once."""
        node = self.store.topology.node(home.slot)
        if node is None or not node.usable:
            self.store.failed("open", "")
            if failed is not None:
                failed()
            return
        quotas = self._usual
        if times:
            quotas = self._with_times([int(verdict.at) for verdict in times])
        words = (len(home.keys), *home.keys, deed, cost, more, self.store.worker, *quotas)
        _Question(self, home, words, answered, failed).put(node)

    def _with_times(self, times: Sequence[int]) -> tuple[bytes | int, ...]:
        words: list[bytes | int] = []
        for quota, at in zip(self._quotas, times, strict=True):
            words += [*quota, at]
        return tuple(words)

    def _find_home(self, key: str) -> Home:
        """Remembered for the keys that come again. No key's text goes to Redis."""
        digest = blake2b(
            key.encode("utf-8", "surrogatepass"), digest_size=16, person=self._person
        ).hexdigest()
        # All records of a key are in one slot of a cluster, by the part in braces.
        keys = [
            f"{self.store.prefix}:{{{digest}}}:{number}".encode()
            for number in range(len(self._quotas))
        ]
        return Home(slot_of(digest.encode()), tuple(keys))


class _Question:
    """A call of the script, sent again where Redis asks for that."""

    __slots__ = (
        "_answered",
        "_asker",
        "_asking",
        "_failed",
        "_home",
        "_left",
        "_words",
        "deadline",
    )

    def __init__(
        self,
        asker: Asker,
        home: Home,
        words: tuple[bytes | str | int, ...],
        answered: Callable[[list[int]], None] | None,
        failed: Callable[[], None] | None,
    ) -> None:
        self._asker = asker
        self._home = home
        self._words = words
        self._answered = answered
        self._failed = failed
        self._left = _REDIRECTS_MAX
        # Keys on the move are served only to those who say that they were sent there.
        self._asking = False
        self.deadline = asker.store.loop.time() + asker.store.deadline

    def put(self, node: Node) -> None:
        """Send it."""
        self._asking = False
        node.ask(self, *self._commands())

    def _commands(self, *, whole: bool = False) -> tuple[bytes, ...]:
        """What is sent. whole: with the script itself, which also makes it known."""
        script = self._asker.script
        if whole:
            command = pack("EVAL", script.text, *self._words)
        else:
            command = pack("EVALSHA", script.digest, *self._words)
        return (_ASKING, command) if self._asking else (command,)

    def answered(self, answer: Any, connection: Connection) -> None:
        """Called by the connection."""
        if isinstance(answer, hiredis.ReplyError):
            self._refused(str(answer), connection)
        elif self._answered is not None:
            self._answered(answer)

    def overdue(self) -> None:
        """Called by the connection."""
        self._fail("deadline")

    def lost(self) -> None:
        """Called by the connection."""
        self._fail("lost")

    def _fail(self, why: Failure, text: str = "") -> None:
        self._asker.store.failed(why, text)
        if self._failed is not None:
            self._failed()

    def _refused(self, text: str, connection: Connection) -> None:
        kind, _, rest = text.partition(" ")
        topology = self._asker.store.topology
        self._left -= 1
        if self._left < 0:
            self._fail("error", text)
        elif kind == "NOSCRIPT":
            # It was restarted, or never had it.
            connection.ask(self, *self._commands(whole=True))
        elif kind in ("MOVED", "ASK"):
            self._follow(kind, rest.rpartition(" ")[2])
        elif kind in _UNFIT:
            topology.doubt()
            node = topology.node(self._home.slot)
            if node is not None and kind != "CLUSTERDOWN":
                node.give_up(f"it says {kind}")
            self._fail("error", text)
        elif kind == "TRYAGAIN":
            connection.ask(self, *self._commands())
        else:
            self._fail("error", text)

    def _follow(self, kind: str, place: str) -> None:
        """The keys are elsewhere, for good (MOVED) or while they move (ASK)."""
        topology = self._asker.store.topology
        host, _, port = place.rpartition(":")
        node = topology.at(host, int(port)) if port.isdigit() else None
        if kind == "MOVED":
            topology.doubt()
        if node is None or not node.usable:
            self._fail("lost")
        elif kind == "ASK":
            self._asking = True
            node.ask(self, *self._commands())
        else:
            self.put(node)
