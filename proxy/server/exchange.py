"""One request and its response: handled at once where nothing has to wait, else by a task.

May live here: the life of one exchange, and what forwarding may ask of its client meanwhile
(interim responses, `100 Continue`: RFC 9110, 10.1.1 and 15.2). Must not live here: how
requests arrive and whose turn it is (`connection`), how a response is framed (`reply`).

A task and a future for each request cost about 5 µs, as much as all default policies. So
the policies are called, the upstream is asked, and its answer is taken, in plain calls;
a task begins only when something has to be waited for: a connection, a body that streams,
a policy that says so, a client that reads slowly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Literal

from proxy.asking import FAILURES, Asked, Given, Pending
from proxy.contract import NO_EXCHANGE, Request, Response
from proxy.current import enter
from proxy.errors import GatewayError
from proxy.http1.headers import Headers
from proxy.server.frame import BodyFraming, frame_response
from proxy.server.listener import Level, Listener
from proxy.server.sending import drain, send
from proxy.wire.flow import Inflow

if TYPE_CHECKING:
    from proxy.server.connection import ClientConnection


class Exchange:
    """The `contract.Exchange` of a request, and who asks the upstream for it.

    client: whose request it is. received: bytes of the request so far. keep_alive: the client's
    connection goes on.
    """

    __slots__ = ("_aborted", "_asked", "_at_end", "_ended", "_error", "_expects", "_inflow",
                 "_level", "_sent", "_status", "_task", "client", "keep_alive", "listener",
                 "received", "request")  # fmt: skip

    def __init__(
        self,
        client: ClientConnection,
        listener: Listener,
        request: Request,
        received: int,
        keep_alive: bool,
    ) -> None:
        self.client = client
        self.listener = listener
        self.request = request
        self.received = received
        self.keep_alive = keep_alive
        self._level: Level
        # What `count` is told, for `_finish`.
        self._status: int
        self._sent: int
        self._ended: float
        self._error: str
        self._aborted: str
        self._asked: Asked | None = None
        self._at_end: tuple[Callable[[], None], ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._expects: Literal["", "wanted", "deferred"] = ""
        self._inflow: Inflow | None = None

    # -- the policies, and what stands inside of them ------------------------------------------

    def begin(self, level: Level) -> None:
        """Have the request answered by this level, and the response sent, in its turn."""
        self._level = level
        self.listener.traffic.in_flight += 1
        turn = self.listener.turn
        turn.begun.append((Exchange._descend, self))
        if not turn.planned:
            turn.plan()

    def _descend(self) -> None:
        level = self._level
        enter(self.request)
        try:
            given = level.descend(self.request)
            if given is None:
                if self.client.sender.transport is None:
                    # Left by its client meanwhile: it is counted and logged, not forwarded.
                    self.end(0, "", self.client.broken_by)
                    return
                given = self._ask(level)
                if given is None:
                    return
        except FAILURES as error:
            self._break(error)
        else:
            self._give(given)

    def _ask(self, level: Level) -> Given | None:
        """Have what is inside answer; None when it was asked and will tell."""
        inside = level.inside
        if inside.ask_now is None:
            return level.go_on(self.request, inside.ask(self.request))
        try:
            asked = inside.ask_now(self.request, self)
        except Exception as error:
            return self._again(error)
        if isinstance(asked, Coroutine):
            return level.go_on(self.request, asked)
        self._asked = asked
        return None

    def _again(self, error: BaseException) -> Given:
        """What comes of a failure inside: another try, or what the policies make of it."""
        level = self._level
        again = level.inside.again(self.request, error)
        if again is not None:
            return level.go_on(self.request, again)
        return level.fail(self.request, error)

    def answered(self, response: Response) -> None:
        """The upstream's answer to what was asked at once."""
        if not isinstance(response.body, bytes) or response.tunnel is not None:
            self._keep(self._asked)
        self._asked = None
        timings = self.request.timings
        if not timings.first_byte:
            # Whoever did much with it has noted when it came.
            timings.first_byte = self.listener.clock()
        turn = self.listener.turn
        turn.answers.append((self._ascend, response))
        if not turn.planned:
            turn.plan()

    def _keep(self, asked: Asked | None) -> None:
        if asked is not None:
            self.at_end(partial(asked.abort, "abandoned", self))

    def _ascend(self, response: Response) -> None:
        enter(self.request)
        try:
            given = self._level.ascend(self.request, response)
        except FAILURES as error:
            self._break(error)
        else:
            self._give(given)

    def failed(self, error: BaseException) -> None:
        """There is no answer to what was asked at once."""
        if self._asked is None:
            # Broken off from here.
            return
        # It may have failed amid an answer.
        self._keep(self._asked)
        self._asked = None
        enter(self.request)
        try:
            given = self._again(error)
        except FAILURES as unanswered:
            self._break(unanswered)
        else:
            self._give(given)

    def delayed(self, waiting: Pending, answered: bool) -> None:
        """The answer to what was asked at once has to be waited for."""
        self._keep(self._asked)
        self._asked = None
        if answered:
            self.request.timings.first_byte = self.listener.clock()
        enter(self.request)
        self._give(self._level.go_on(self.request, waiting))

    def lost(self) -> None:
        """The client is gone: whatever was done for it ends."""
        if self._task is not None:
            # Not at once: a task that is cancelled before its first step runs nothing, and
            # the request would be neither counted nor logged.
            self.listener.loop.call_soon(self._task.cancel)
        elif self._asked is not None:
            asked, self._asked = self._asked, None
            asked.abort("cancelled", self)
            self.end(0, "", self.client.broken_by)

    # -- the response ----------------------------------------------------------------------------

    def _give(self, given: Given) -> None:
        """Send a response: at once if it is all here and the client takes it."""
        client = self.client
        outflow = client.sender.outflow
        blocked = outflow.full
        if (
            blocked
            or not isinstance(given, Response)
            or not isinstance(given.body, bytes)
            or given.tunnel is not None
        ):
            self._task = self.listener.loop.create_task(send(self, given))
            if client.sender.transport is None:
                # Lost before there was anything to be cancelled.
                self.lost()
            return
        try:
            self.write_head(given)
        except Exception as error:
            self._break(error)
            return
        if outflow.full:
            # Else a client that asks on and reads nothing would fill the memory.
            self._task = self.listener.loop.create_task(drain(self, given))
        else:
            self.end(given.status, given.error, "")

    def write_head(self, response: Response) -> BodyFraming:
        """Send the head, with the body if it is here; how one that is to come is framed."""
        client = self.client
        keep = self.keep_alive and client.persists(response)
        data, large, self.keep_alive, framing = frame_response(
            self.request, response, keep, self.listener.date
        )
        # One write: two cost twice the system calls and wake the client twice.
        client.sender.write(data, large)
        return framing

    def let_go(self) -> None:
        """What it came to outlives it, and ends what was done for it."""
        self._at_end = ()

    def _break(self, error: BaseException) -> None:
        """End an exchange that came to no response, or to one that can't be sent."""
        self.end(*self.broken(error))

    def broken(self, error: BaseException) -> tuple[int, str, str]:
        """Close the client's connection, in the most telling way left.

        The status that was sent for it, 0 for none, the error's code, and what broke it off.
        """
        self.keep_alive = False
        client, task = self.client, self._task
        # Either may be a policy's own as well.
        gone = isinstance(error, ConnectionResetError) and client.sender.transport is None
        ended = isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling()
        if gone or ended:
            broken_by = client.broken_by
            client.abort()
            return 0, "", broken_by
        if not isinstance(error, GatewayError):
            self.listener.gateway.unexpected(self.request, error)
            error = GatewayError("internal_error")
        return client.sender.break_off(error, self.request), error.code, error.code

    def end(self, status: int, error: str, aborted: str) -> None:
        """The exchange is over. error: the code of what Sidegate answered. aborted: what broke the
        response off."""
        self._task = None
        if self._at_end:
            calls, self._at_end = self._at_end, ()
            for call in calls:
                call()
        now = self.listener.clock()
        self.count(status, self.client.sender.sent, self.received, now, error, aborted)
        self.client.ended(now)

    def count(
        self, status: int, sent: int, received: int, now: float, error: str, aborted: str
    ) -> None:
        """Have the exchange counted and logged, which is over."""
        # Each would keep the other alive until the garbage collector came by.
        self.request.exchange = NO_EXCHANGE
        self._status = status
        self._sent = sent
        self.received = received
        self._ended = now
        self._error = error
        self._aborted = aborted
        turn = self.listener.turn
        turn.ended.append((Exchange._finish, self))
        if not turn.planned:
            turn.plan()

    def _finish(self) -> None:
        listener = self.listener
        listener.traffic.in_flight -= 1
        try:
            listener.gateway.finished(
                self.request, self._status, self._sent, self.received, self._ended, self._error,
                self._aborted,
            )  # fmt: skip
        except Exception:
            # Whatever else is said here names its request itself, and to enter costs 0.1 µs.
            enter(self.request)
            raise

    # -- what forwarding may ask ---------------------------------------------------------------

    def at_end(self, call: Callable[[], None]) -> None:
        """Call this when the exchange is over, unless it has become a tunnel."""
        self._at_end += (call,)

    def expect(self, inflow: Inflow) -> None:
        """The client waits for `100 Continue`: say it when the body is first wanted."""
        self._expects = "wanted"
        self._inflow = inflow
        inflow.on_wait = self.say_continue

    def settle(self) -> None:
        """The client sends its body without having waited."""
        self._expects = ""

    @property
    def expects_continue(self) -> bool:
        """The client waits for `100 Continue` before it sends its body."""
        return bool(self._expects)

    @property
    def deferred(self) -> bool:
        """The upstream was given time to say it."""
        return self._expects == "deferred"

    def defer_continue(self, seconds: float) -> None:
        """Let the upstream say it, for so long."""
        if self._expects and self._inflow is not None:
            self._expects = "deferred"
            self._inflow.on_wait = None
            self.client.expire_in(seconds)

    def interim(self, status: int, headers: Headers) -> None:
        """Pass a 1xx on, unless the client can't read it or it was said already."""
        if status == 100:
            self.say_continue()
        else:
            self.client.sender.interim(status, headers)

    def say_continue(self) -> None:
        """Tell the client to go on, if it waits for that."""
        if self._expects:
            self._expects = ""
            self.client.expire_in(self.listener.timeouts.body_idle)
            self.client.sender.interim(100, Headers())
