"""Work is done stage by stage, whatever fails and whatever comes up on the way."""

from __future__ import annotations

import asyncio

from proxy.wire.turn import Turn
from tests.unit.paused_loop import PausedLoop, settle


def test_stages_are_done_one_after_the_other(loop: PausedLoop) -> None:
    turn, done = Turn(loop), list[str]()
    for name, stage in (
        ("end", turn.ended),
        ("request", turn.requests),
        ("begin", turn.begun),
        ("answer", turn.answers),
        ("response", turn.responses),
    ):
        stage.extend((done.append, f"{name} {number}") for number in (1, 2))
    turn.plan()
    assert done == []
    loop.run(settle())
    assert done == [
        f"{name} {number}"
        for name in ("response", "answer", "request", "begin", "end")
        for number in (1, 2)
    ]


def test_what_comes_up_on_the_way_is_done_too(loop: PausedLoop) -> None:
    turn, done = Turn(loop), list[str]()

    def begin(name: str) -> None:
        done.append(name)
        turn.requests.append((done.append, name + " again"))
        turn.ended.append((done.append, name + " ended"))

    turn.begun.append((begin, "a"))
    turn.begun.append((begin, "b"))
    turn.plan()
    turn.plan()
    loop.run(settle())
    assert done == ["a", "b", "a ended", "b ended", "a again", "b again"]
    assert not turn.planned


def test_work_that_never_ends_lets_others_have_their_turn(loop: PausedLoop) -> None:
    turn, rounds, seen = Turn(loop), list[int](), list[int]()

    def again(number: int) -> None:
        rounds.append(number)
        if number < 100:
            turn.requests.append((again, number + 1))

    async def story() -> None:
        turn.requests.append((again, 1))
        turn.plan()
        while len(rounds) < 100:
            await asyncio.sleep(0)
            seen.append(len(rounds))

    loop.run(story())
    assert seen[0] <= 5
    assert len(seen) > 10


def test_one_failure_keeps_nothing_else_from_being_done(loop: PausedLoop) -> None:
    turn, done, told = Turn(loop), list[str](), list[str]()
    loop.set_exception_handler(lambda _, context: told.append(repr(context["exception"])))

    def fail(name: str) -> None:
        raise ValueError(name)

    turn.begun.extend([(done.append, "a"), (fail, "b"), (fail, "c"), (done.append, "d")])
    turn.ended.append((done.append, "e"))
    turn.plan()
    loop.run(settle())
    assert done == ["a", "d", "e"]
    assert told == ["ValueError('b')", "ValueError('c')"]


class Failing:
    """What was to be done for it fails."""

    def __init__(self) -> None:
        self.gave_up = 0

    def do(self) -> None:
        raise ValueError

    def give_up(self) -> None:
        self.gave_up += 1


def test_whoever_waits_for_what_failed_gives_up(loop: PausedLoop) -> None:
    turn, failing = Turn(loop), Failing()
    loop.set_exception_handler(lambda _, context: None)
    turn.requests.append((Failing.do, failing))
    turn.plan()
    loop.run(settle())
    assert failing.gave_up == 1
    assert not turn.planned


def test_a_cancelled_result_keeps_nothing_else_from_being_done(loop: PausedLoop) -> None:
    turn, done, told = Turn(loop), list[str](), list[str]()
    loop.set_exception_handler(lambda _, context: told.append(repr(context["exception"])))
    gone = loop.create_future()
    gone.cancel()
    turn.begun.extend([(lambda _: gone.result(), None), (done.append, "a")])
    turn.plan()
    loop.run(settle())
    turn.begun.append((done.append, "b"))
    if not turn.planned:
        turn.plan()
    loop.run(settle())
    assert done == ["a", "b"]
    assert told == ["CancelledError()"]
