"""One sweep for all timeouts, on a paused clock."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from proxy.wire.deadlines import NEVER, Deadlines


class Member:
    """Something that can be late. then: what it does when it is."""

    def __init__(self, deadline: float, then: Callable[[Member], None] | None = None) -> None:
        self.deadline = deadline
        self.late: list[float] = []
        self._then = then

    def expire(self, now: float) -> None:
        self.late.append(now)
        self.deadline = NEVER
        if self._then is not None:
            self._then(self)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_those_who_are_late_expire_and_nobody_else() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    soon, later, never = Member(101.0), Member(105.0), Member(NEVER)
    for member in (soon, later, never):
        deadlines.add(member)
    deadlines.sweep()
    clock.now = 101.0
    deadlines.sweep()
    assert (soon.late, later.late, never.late) == ([101.0], [], [])
    clock.now = 1e9
    deadlines.sweep()
    assert (soon.late, later.late, never.late) == ([101.0], [1e9], [])


def test_a_deadline_that_was_moved_counts_from_there() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    member = Member(101.0)
    deadlines.add(member)
    member.deadline = 110.0
    clock.now = 105.0
    deadlines.sweep()
    assert member.late == []


def test_a_member_is_watched_once_and_leaves_quietly() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    member = Member(101.0)
    deadlines.add(member)
    deadlines.add(member)
    assert len(deadlines) == 1
    deadlines.discard(member)
    deadlines.discard(member)
    clock.now = 1e9
    deadlines.sweep()
    assert (len(deadlines), member.late) == (0, [])


def test_one_that_expires_may_end_another_or_give_it_time() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    ended, spared = Member(101.0), Member(101.0)

    def decide(member: Member) -> None:
        deadlines.discard(ended)
        spared.deadline = 200.0
        deadlines.discard(member)

    for member in (Member(101.0, decide), ended, spared):
        deadlines.add(member)
    clock.now = 101.0
    deadlines.sweep()
    assert (ended.late, spared.late, len(deadlines)) == ([], [], 1)


def test_one_that_expires_may_bring_another() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    deadlines.add(Member(101.0, lambda member: deadlines.add(Member(NEVER))))
    clock.now = 101.0
    deadlines.sweep()
    assert len(deadlines) == 2


def test_what_one_says_of_its_request_is_not_said_of_the_next() -> None:
    request: ContextVar[str] = ContextVar("request", default="none")
    seen: list[str] = []

    def note(_: Member) -> None:
        seen.append(request.get())
        request.set("a request")

    deadlines = Deadlines(Clock())
    members = [Member(1.0, note), Member(1.0, note)]
    for member in members:
        deadlines.add(member)
    deadlines.sweep()
    assert [*seen, request.get()] == ["none"] * 3
