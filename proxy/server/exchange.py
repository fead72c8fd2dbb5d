"""What forwarding may ask of the client while it waits: interim responses, and the word
that a client may want before it sends its body (RFC 9110, 10.1.1 and 15.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from proxy.http1.headers import Headers
from proxy.server.reply import Sender
from proxy.wire.flow import Inflow


class ClientExchange:
    """The `contract.Exchange` of one connection, used for one request after another.

    wait: sets the connection's deadline, in seconds from now. body_idle: how long a client
    may take to begin its body once it was told to go on.
    """

    __slots__ = ("_inflow", "_sender", "_state", "_wait", "body_idle")

    def __init__(self, sender: Sender, wait: Callable[[float], None]) -> None:
        self._sender = sender
        self._wait = wait
        self._state: Literal["", "wanted", "deferred"] = ""
        self._inflow: Inflow | None = None
        self.body_idle = 0.0

    def expect(self, inflow: Inflow, body_idle: float) -> None:
        """The client waits for `100 Continue`: say it when the body is first wanted."""
        self._state = "wanted"
        self._inflow = inflow
        self.body_idle = body_idle
        inflow.on_wait = self.say_continue

    def settle(self) -> None:
        """The client sends its body, or there is a new request."""
        self._state = ""

    @property
    def expects_continue(self) -> bool:
        """The client waits for `100 Continue` before it sends its body."""
        return bool(self._state)

    @property
    def deferred(self) -> bool:
        """The upstream was given time to say it."""
        return self._state == "deferred"

    def defer_continue(self, seconds: float) -> None:
        """Let the upstream say it, for so long."""
        if self._state and self._inflow is not None:
            self._state = "deferred"
            self._inflow.on_wait = None
            self._wait(seconds)

    def interim(self, status: int, headers: Headers) -> None:
        """Pass a 1xx on, unless the client can't read it or it was said already."""
        if status == 100:
            self.say_continue()
        else:
            self._sender.interim(status, headers)

    def say_continue(self) -> None:
        """Tell the client to go on, if it waits for that."""
        if self._state:
            self._state = ""
            self._wait(self.body_idle)
            self._sender.interim(100, Headers())
