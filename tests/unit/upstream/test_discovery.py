"""When endpoints are looked for, and what becomes of a look that fails, on a paused clock."""

from __future__ import annotations

import asyncio

from proxy.upstream.discovery import PATIENCE, Answer, Discovery, Found
from proxy.upstream.listing import FileSource
from tests.unit.paused_loop import PausedLoop
from tests.unit.policies.world import World
from tests.unit.upstream.means import some_means

A, B = Found("http://a"), Found("http://b")


class Script:
    """A source that gives these answers in turn: endpoints with a TTL, or why there are none."""

    def __init__(self, loop: PausedLoop, patience: float, *answers: Answer | str) -> None:
        self._loop = loop
        self.patience = patience
        self._answers = list(answers)
        self.looks: list[float] = []

    async def look(self) -> Answer:
        self.looks.append(self._loop.now - 1000.0)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, str):
            raise LookupError(answer)
        return answer


def played(
    loop: PausedLoop, seconds: float, *answers: Answer | str, patience: float = PATIENCE
) -> tuple[Discovery, Script, list[tuple[Found, ...]], World]:
    """What a discovery did in so many seconds, and what it told."""
    world, told = World(), list[tuple[Found, ...]]()
    means = some_means(world, loop.time, loop=loop)
    source = Script(loop, patience, *answers)
    discovery = Discovery("users", source, means)

    async def story() -> None:
        work = discovery.run(lambda answer: told.append(answer.endpoints), means)
        task = loop.create_task(work)
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    loop.run(story())
    return discovery, source, told, world


def test_it_looks_again_when_the_answer_is_too_old(loop: PausedLoop) -> None:
    answers = (Answer((A,), 10.0), Answer((A, B), 30.0))
    _, source, told, world = played(loop, 75.0, *answers)
    assert source.looks == [0.0, 10.0, 40.0, 70.0]
    assert told[0] == (A,)
    assert set(told[1:]) == {(A, B)}
    assert [facts["endpoints"] for _, event, facts in world.journal.lines if "found" in event] == [
        ["http://a"],
        ["http://a", "http://b"],
    ]


def test_a_failure_keeps_the_last_good_answer_and_is_tried_again_later_and_later(
    loop: PausedLoop,
) -> None:
    discovery, source, told, world = played(loop, 60.0, Answer((A,), 5.0), "no such name")
    assert source.looks == [0.0, 5.0, 6.0, 8.0, 12.0, 20.0, 36.0]
    assert told == [(A,)]
    assert discovery.answer == Answer((A,), 5.0)
    assert discovery.facts()["problem"] == "no such name"
    warnings = [line for line in world.journal.lines if line[0] == "warning"]
    assert len(warnings) == 1, "once, not at each look"
    counts = {key[-1]: cell.value for key, cell in world.journal.counts.items()}
    assert counts == {"good": 1, "failed": 6}


def test_what_costs_nothing_is_looked_at_again_soon(loop: PausedLoop) -> None:
    _, source, _, _ = played(loop, 9.0, Answer((A,), 5.0), "no list", patience=1.0)
    assert source.looks == [0.0, 5.0, 6.0, 7.0, 8.0]
    assert FileSource("endpoints.yaml").patience == 1.0


def test_it_says_when_it_works_again(loop: PausedLoop) -> None:
    discovery, _, told, world = played(loop, 3.0, "down", Answer((A,), 60.0))
    assert told == [(A,)]
    assert discovery.facts() == {"found": 1, "next_look_in": 58.0}
    assert [line[1] for line in world.journal.lines][1] == "discovery works again"
