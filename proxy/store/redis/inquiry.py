"""One question to whichever server has a slot, put again where Redis says that it is elsewhere.

May live here: redirections, scripts that a server doesn't know, servers that can't serve. Must
not live here: what is asked (`question`, `depot`), servers and connections (`node`,
`topology`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Final, Literal, Protocol

import hiredis

from proxy.store.redis.connection import Connection, pack
from proxy.store.redis.node import Node
from proxy.store.redis.topology import Topology

Failure = Literal["deadline", "lost", "error", "open"]
Word = str | bytes | int

# Answers that say that a server can't serve at all, for now or any more.
_UNFIT: Final = ("READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "UNBLOCKED")
_REDIRECTS_MAX: Final = 5
_ASKING: Final = pack("ASKING")
_FOLDER: Final = files("proxy.store.redis") / "lua"


class Scene(Protocol):
    """What questions have in common.

    loop: whose clock deadlines are of. topology: the servers. deadline: seconds.
    """

    loop: asyncio.AbstractEventLoop
    topology: Topology
    deadline: float

    def failed(self, why: Failure, text: str) -> None:
        """A question has got no answer that was of use, or was not put at all, since the
        circuit is open. text: of an error."""
        ...


class Source:
    """A script. text: its source. digest: its name in Redis."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def read_lua(name: str) -> str:
    """The text of a file beside this module."""
    return (_FOLDER / f"{name}.lua").read_text(encoding="ascii")


class Inquiry:
    """A command, or the call of a script with these words.

    answered, failed: one of them is called, once. since: when somebody began to wait for it, by
    default now. seconds: how long that may take, by default as the scene says.
    """

    __slots__ = (
        "_answered",
        "_asking",
        "_failed",
        "_left",
        "_scene",
        "_script",
        "_slot",
        "_words",
        "deadline",
    )

    def __init__(
        self,
        scene: Scene,
        slot: int,
        words: Sequence[Word],
        answered: Callable[[Any], None] | None,
        failed: Callable[[], None] | None,
        script: Source | None = None,
        since: float | None = None,
        seconds: float | None = None,
    ) -> None:
        self._scene = scene
        self._slot = slot
        self._words = words
        self._answered = answered
        self._failed = failed
        self._script = script
        self._left = _REDIRECTS_MAX
        # Keys on the move are served only to those who say that they were sent there.
        self._asking = False
        self.deadline = scene.loop.time() if since is None else since
        self.deadline += scene.deadline if seconds is None else seconds

    def put(self) -> None:
        """Send it."""
        node = self._scene.topology.node(self._slot)
        if node is None or not node.usable:
            self._fail("open")
        else:
            self._send(node)

    def _commands(self, *, whole: bool = False) -> tuple[bytes, ...]:
        """What is sent. whole: with the script itself, which also makes it known."""
        script = self._script
        if script is None:
            command = pack(*self._words)
        elif whole:
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
        self._scene.failed(why, text)
        if self._failed is not None:
            self._failed()

    def _refused(self, text: str, connection: Connection) -> None:
        kind, _, rest = text.partition(" ")
        topology = self._scene.topology
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
            node = topology.node(self._slot)
            if node is not None and kind != "CLUSTERDOWN":
                node.give_up(f"it says {kind}")
            self._fail("error", text)
        elif kind == "TRYAGAIN":
            connection.ask(self, *self._commands())
        else:
            self._fail("error", text)

    def _follow(self, kind: str, place: str) -> None:
        """The keys are elsewhere, for good (MOVED) or while they move (ASK)."""
        topology = self._scene.topology
        host, _, port = place.rpartition(":")
        node = topology.at(host, int(port)) if port.isdigit() else None
        if kind == "MOVED":
            topology.doubt()
        if node is None or not node.usable:
            self._fail("lost")
        else:
            self._asking = kind == "ASK"
            self._send(node)

    def _send(self, node: Node) -> None:
        node.ask(self, *self._commands())
