"""Clients and a service that do anything at any moment: each request is told of once, each answer
reaches who asked, and nothing is left when all are gone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.paused_loop import PausedLoop, settle
from tests.unit.server.scene import Line, Scene

_CLIENTS_MAX: Final = 4
_TARGET: Final = re.compile(rb"^[A-Z]+ (/\S*) HTTP/1.1\r$", re.MULTILINE)

# Turns of the loop before anything else happens.
STEPS: Final = st.integers(0, 3)

_REQUESTS: Final = [
    b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD %b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET %b HTTP/1.0\r\n\r\n",
    b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET %b HTTP/1.1\r\nHost: a b\r\n\r\n",
    b"GET %b HTTP/1.1\r\nHo",
    b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
    b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo",
    b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n" + b"x" * 200000,
    b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n",
    b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
    b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
    b"PUT %b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
]
_MORE: Final = [
    b"dy", b"body", b"0\r\n\r\n", b"4\r\nbody\r\n0\r\n\r\n", b"st: a\r\n\r\n", b"x" * 200000,
]  # fmt: skip
_ANSWERS: Final = [
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b",
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b",
    b"HTTP/1.1 503 No\r\nX: %d\r\nContent-Length: 300000\r\n\r\n%b",
    b"HTTP/1.1 200 OK\r\nX: %d\r\nContent-Length: 300000\r\n\r\n%b",
    b"HTTP/1.1 200 OK\r\nX: %d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    b"HTTP/1.1 200 OK\r\nX: %d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: %d\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
    b"HTTP/1.1 200 OK\r\nX: %d\r\n\r\n%b",
    b"HTTP/1.1 204 OK\r\nX: %d\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\nX: %d\r\n\r\n",
    b"HTTP/1.1 103 Hints\r\nX: %d\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nX: %d\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: %d\r\nConte",
    b"SSH-2.0\r\n\r\n",
]
_PIECES: Final = [
    b"x", b"x" * 200000, b"x" * 300000, b"5\r\nhello\r\n", b"0\r\n\r\n", b"nt-Length: 0\r\n\r\n",
]  # fmt: skip


def get_stuck(line: Line) -> None:
    """Read nothing from now on."""
    line.stuck = True


class Anything(RuleBasedStateMachine):
    """A scene in which anything happens in any order. numbers: requests so far, each with a target
    of its own. of: who asked for a target.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = PausedLoop()
        self.scene = Scene(self.loop, pool={"size": 2, "overflow": 1}, timeouts={"head": "1s"})
        self.numbers = 0
        self.of: dict[bytes, Line] = {}

    def pick(self, data: st.DataObject, lines: list[Line]) -> Line:
        """One of those that are open."""
        return data.draw(st.sampled_from(_usable(lines)))

    def step(self, steps: int) -> None:
        """Some turns of the loop, which need not get anything done."""
        for _ in range(steps):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    @precondition(lambda self: len(_usable(self.scene.connections)) < _CLIENTS_MAX)
    @rule()
    def connect(self) -> None:
        """Another client comes."""
        self.scene.client()

    @precondition(lambda self: bool(_usable(self.scene.connections)))
    @rule(data=st.data(), form=st.sampled_from(_REQUESTS), steps=STEPS)
    def ask(self, data: st.DataObject, form: bytes, steps: int) -> None:
        """A client asks, or begins to."""
        client = self.pick(data, self.scene.connections)
        self.numbers += 1
        target = b"/%d" % self.numbers
        self.of[target] = client
        client.say(form % target)
        self.step(steps)

    @precondition(lambda self: bool(_usable(self.scene.connections)))
    @rule(data=st.data(), more=st.sampled_from(_MORE), steps=STEPS)
    def send_more(self, data: st.DataObject, more: bytes, steps: int) -> None:
        """A client goes on, or sends what nobody expects."""
        self.pick(data, self.scene.connections).say(more)
        self.step(steps)

    @precondition(lambda self: bool(_usable(self.scene.services)))
    @rule(data=st.data(), form=st.sampled_from(_ANSWERS), steps=STEPS)
    def answer(self, data: st.DataObject, form: bytes, steps: int) -> None:
        """A service answers what it was asked last, or begins to, or says anything."""
        service = self.pick(data, self.scene.services)
        asked = _TARGET.findall(service.data)
        body = b"<%b>" % (asked[-1] if asked else b"/none")
        # Places in a form are filled from the left, and some want the length alone.
        values = (len(body), body)[: form.count(b"%")]
        service.say(form % values)
        self.step(steps)

    @precondition(lambda self: bool(_usable(self.scene.services)))
    @rule(data=st.data(), piece=st.sampled_from(_PIECES), steps=STEPS)
    def answer_more(self, data: st.DataObject, piece: bytes, steps: int) -> None:
        """A service goes on, or sends what nobody expects."""
        self.pick(data, self.scene.services).say(piece)
        self.step(steps)

    @precondition(lambda self: bool(_usable(self.scene.connections + self.scene.services)))
    @rule(
        data=st.data(),
        does=st.sampled_from([Line.reset, Line.end, Line.take, get_stuck]),
        steps=STEPS,
    )
    def change(self, data: st.DataObject, does: Callable[[Line], None], steps: int) -> None:
        """An end leaves, reads no more, or catches up."""
        does(self.pick(data, self.scene.connections + self.scene.services))
        self.step(steps)

    @rule()
    def rest(self) -> None:
        """Everything gets done that can be."""
        self.loop.run(settle())

    @rule(seconds=st.sampled_from([0.2, 2.0, 16.0, 31.0, 80.0]))
    def pass_time(self, seconds: float) -> None:
        """Nothing happens for a while."""
        self.loop.run(self.scene.wait(seconds))

    @invariant()
    def every_answer_reaches_who_asked(self) -> None:
        """What a client was sent names none but its own targets."""
        for client in self.scene.connections:
            for target in re.findall(rb"<(/[0-9]+)>", client.said()):
                assert self.of[target] is client, f"{target!r} was told to somebody else"

    @invariant()
    def nothing_fails(self) -> None:
        """No callback raised, and no connection is counted twice or never."""
        assert not self.scene.failures
        assert self.scene.traffic.in_flight >= 0
        assert self.scene.pool.in_use + self.scene.pool.idle <= 3

    def teardown(self) -> None:
        """Clients leave, and nothing is left of what was done for them."""
        try:
            self.loop.run(self.scene.leave())
            self.loop.run(self.scene.wait(1.0))
            self.scene.clean()
        finally:
            self.loop.close()


def _usable(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line.open and not line.closed]


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=60, stateful_step_count=40)
