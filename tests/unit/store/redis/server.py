"""A Redis on a paused clock, without a socket: it answers, late or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hiredis

from proxy.store.redis.connection import Connection
from tests.unit.paused_loop import PausedLoop
from tests.unit.transport import Wire

MASTER = b"*1\r\n$6\r\nmaster\r\n"
REPLICA = b"*1\r\n$5\r\nslave\r\n"
# Of a limit's script: the time, how many were granted, and a verdict that admits.
GRANTED = b"*6\r\n:1\r\n:%d\r\n:1\r\n:9\r\n:0\r\n:0\r\n"
REFUSAL = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"


class Server(PausedLoop):
    """A loop on which one server can be reached. up: whether it accepts connections. paused:
    whether it says nothing meanwhile. latency: seconds until it answers. role: its answer to
    `ROLE`. refuses: whether it runs no scripts. attempts: when it was connected to. asked: when
    scripts were called."""

    def __init__(self) -> None:
        super().__init__()
        self.up = True
        self.paused = False
        self.latency = 0.001
        self.role = MASTER
        self.refuses = False
        self.attempts: list[float] = []
        self.asked: list[float] = []
        self.wires: list[Answering] = []

    async def create_connection(  # type: ignore[override]
        self, factory: Callable[[], Connection], *_: object, **__: object
    ) -> None:
        self.attempts.append(self.now)
        if not self.up:
            raise ConnectionRefusedError(111, "Connection refused")
        self.wires.append(Answering(self, factory()))

    def kill(self) -> None:
        """Break all connections, and accept no more."""
        self.up = False
        for wire in self.wires:
            wire.abort()

    def resume(self) -> None:
        """Answer all that was asked while it was paused."""
        self.paused = False
        for wire in self.wires:
            wire.answer()


class Answering(Wire):
    """The server's end of a connection."""

    def __init__(self, server: Server, connection: Connection) -> None:
        super().__init__()
        self._server = server
        self._connection = connection
        self._commands = hiredis.Reader()
        connection.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._commands.feed(bytes(data))
        self.answer()

    def answer(self) -> None:
        """Answer what is there, unless the server is paused."""
        while not self._server.paused and (command := self._commands.gets()):
            self._server.call_later(self._server.latency, self._deliver, self._answer_to(command))

    def abort(self) -> None:
        if not self.aborted:
            self._server.call_soon(self._connection.connection_lost, None)
        super().abort()

    def _answer_to(self, command: list[Any]) -> bytes:
        match command:
            case [b"ROLE"]:
                return self._server.role
            case [b"EVALSHA" | b"EVAL", _, b"1", _, _, cost, more, *_]:
                self._server.asked.append(self._server.now)
                return REFUSAL if self._server.refuses else GRANTED % (int(cost) + int(more))
        return b"+OK\r\n"

    def _deliver(self, answer: bytes) -> None:
        if not self.aborted:
            self._connection.data_received(answer)
