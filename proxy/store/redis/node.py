"""A server with a circuit breaker: asked while it answers, and left alone while it doesn't.

Closed: questions go to it. Open: nobody asks it, so a dead server costs a request nothing; in
the background a new connection is tried again and again. Half-open: one is there, and has to
answer in time before the circuit is closed. It opens when the connection is lost, when the server
says that it can't serve, or when several answers in a row didn't come in time. A server that fails
again soon after is left alone longer each time, so that it can't keep on opening and closing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Literal

from proxy.config.address import Address
from proxy.store.redis.access import FAILURES, Access, open_connection, reason
from proxy.store.redis.connection import LATE, LOST, Connection, Question

State = Literal["closed", "open", "half_open"]

# Answers in a row that don't come in time, until nobody waits for more.
_MISSES: Final = 3
_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 1.0
# Seconds after which a server that has answered all along is trusted again.
_PROOF: Final = 10.0


class Node:
    """One server.

    locate: where it is now; may ask others, and raises what `open_connection` raises. spawn:
    runs a task. told: hears of each change between closed and open, and why; also when a server
    that was out of reach answers, and can't serve for another reason. state: of the circuit.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        access: Access,
        locate: Callable[[], Awaitable[Address]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        told: Callable[[Node, str], None],
    ) -> None:
        self.state: State = "open"
        self.address: Address | None = None
        self._loop = loop
        self._access = access
        self._locate = locate
        self._spawn = spawn
        self._told = told
        self._connection: Connection | None = None
        self._trouble = ""
        self._wait = 0.0
        self._closed_at = -_PROOF
        self._recovering = False
        self._ended = False

    def start(self) -> None:
        """Connect, in the background."""
        self._recover()

    @property
    def usable(self) -> bool:
        """Whether it is asked."""
        return self.state == "closed"

    def ask(self, question: Question, *commands: bytes) -> None:
        """As `Connection.ask`; the question is lost at once while the circuit is open."""
        if self.state == "closed" and self._connection is not None:
            self._connection.ask(question, *commands)
        else:
            question.lost()

    def tell(self, command: bytes) -> None:
        """As `Connection.tell`; nothing is sent while the circuit is open."""
        if self.state == "closed" and self._connection is not None:
            self._connection.tell(command)

    def give_up(self, why: str) -> None:
        """It can't serve: open the circuit, and look for it anew."""
        connection, self._connection = self._connection, None
        if self.state == "closed":
            self.state = "open"
            if self._loop.time() - self._closed_at > _PROOF:
                self._wait = 0.0
            self._tell(why)
        if connection is not None:
            connection.abort()
        self._recover()

    def close(self) -> None:
        """Drop the connection, for good."""
        self._ended = True
        self.state = "open"
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def _recover(self) -> None:
        if not self._recovering and not self._ended:
            self._recovering = True
            self._spawn(self._try())

    async def _try(self) -> None:
        try:
            await asyncio.sleep(self._wait)
            while not self._ended:
                self._wait = min(max(2 * self._wait, _FIRST_WAIT), _LONGEST_WAIT)
                try:
                    self.address = await self._locate()
                    self.state = "half_open"
                    connection = await open_connection(
                        self._loop, self.address, self._access, self._lost, self._missed
                    )
                except FAILURES as error:
                    self.state = "open"
                    if not self._trouble or not isinstance(error, OSError):
                        self._tell(reason(error))
                else:
                    if self._use(connection):
                        return
                await asyncio.sleep(self._wait)
        finally:
            self._recovering = False

    def _use(self, connection: Connection) -> bool:
        if self._ended:
            connection.abort()
        elif connection.open:
            self._connection = connection
            self._closed_at = self._loop.time()
            self.state = "closed"
            self._tell("")
        return self._connection is connection

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble or not trouble:
            self._trouble = trouble
            self._told(self, trouble)

    def _lost(self) -> None:
        if self._connection is not None and not self._ended:
            self._connection = None
            self.give_up(LOST)

    def _missed(self, count: int) -> None:
        if count >= _MISSES and self.state == "closed":
            self.give_up(LATE)
