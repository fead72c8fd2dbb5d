"""Questions on one connection: one write a turn, answers in order, each in its time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import hiredis
import pytest

from proxy.store.redis.connection import Connection, pack
from tests.unit.paused_loop import PausedLoop, settle
from tests.unit.store.redis.noted import Noted
from tests.unit.transport import Wire


class Parcels(Wire):
    """Remembers each write by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))


class Stage:
    """A connection on a paused clock. misses: what it said of late answers."""

    def __init__(self) -> None:
        self.loop = PausedLoop()
        self.wire = Parcels()
        self.losses = 0
        self.misses: list[int] = []
        self.connection = Connection(self.loop, self._lost, self.misses.append)
        self.connection.connection_made(self.wire)

    def ask(self, name: str, seconds: float = 0.05) -> Noted:
        question = Noted(self.loop.now + seconds)
        self.connection.ask(question, pack("ECHO", name))
        return question

    def _lost(self) -> None:
        self.losses += 1


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.loop.close()


def test_all_questions_of_a_turn_leave_in_one_write(stage: Stage) -> None:
    async def story() -> None:
        for turn in range(3):
            for number in range(50):
                stage.ask(f"{turn}/{number}")
            await settle()

    stage.loop.run(story())
    assert len(stage.wire.writes) == 3
    assert stage.wire.writes[1] == b"".join(pack("ECHO", f"1/{number}") for number in range(50))


def test_answers_belong_to_questions_in_order_however_they_are_cut(stage: Stage) -> None:
    questions = [stage.ask(name) for name in "abc"]
    for byte in b"$1\r\na\r\n*2\r\n:1\r\n:2\r\n-ERR no\r\n":
        stage.connection.data_received(bytes([byte]))
    first, second, third = [question.told for question in questions]
    assert first == [b"a"]
    assert second == [[1, 2]]
    assert isinstance(third[0], hiredis.ReplyError)


def test_an_answer_that_comes_late_is_told_to_nobody(stage: Stage) -> None:
    async def story() -> None:
        late = stage.ask("late")
        await asyncio.sleep(0.03)
        early = stage.ask("early")
        await asyncio.sleep(0.04)
        assert (late.told, early.told) == (["overdue"], [])
        stage.connection.data_received(b"$4\r\nlate\r\n$5\r\nearly\r\n")
        assert (late.told, early.told) == (["overdue"], [b"early"])
        again = stage.ask("again")
        stage.connection.data_received(b"$5\r\nagain\r\n")
        assert again.told == [b"again"]

    stage.loop.run(story())


def test_nobody_waits_for_more_than_the_deadline_and_a_moment(stage: Stage) -> None:
    waited: list[float] = []

    class Timed(Noted):
        def overdue(self) -> None:
            waited.append(stage.loop.now - (self.deadline - 0.05))

    async def story() -> None:
        for number in range(100):
            stage.connection.ask(Timed(stage.loop.now + 0.05), pack("PING"))
            await asyncio.sleep(0.0013 * (number % 7))
        await asyncio.sleep(1.0)

    stage.loop.run(story())
    assert len(waited) == 100
    assert min(waited) >= 0.0499
    assert max(waited) <= 0.05 + 0.02


def test_a_loop_that_stood_still_reads_before_it_complains(stage: Stage) -> None:
    """It is the proxy that was busy, and the answer has been there for long."""

    async def story() -> None:
        answered, missed = stage.ask("a"), stage.ask("b")
        stage.loop.now += 0.2
        await settle()
        assert (answered.told, missed.told) == ([], [])
        stage.connection.data_received(b"$1\r\na\r\n")
        await asyncio.sleep(0.002)
        assert (answered.told, missed.told) == ([b"a"], ["overdue"])
        assert stage.misses == [1]

    stage.loop.run(story())


def test_misses_in_a_row_are_told_and_an_answer_ends_the_row(stage: Stage) -> None:
    async def story() -> None:
        for _ in range(2):
            stage.ask("x")
            await asyncio.sleep(0.1)
        assert stage.misses == [1, 2]
        stage.ask("y")
        stage.connection.data_received(b"+x\r\n+x\r\n+y\r\n")
        stage.ask("z")
        await asyncio.sleep(0.1)
        assert stage.misses == [1, 2, 1]

    stage.loop.run(story())


def test_those_who_wait_are_told_that_it_is_lost_once(stage: Stage) -> None:
    async def story() -> None:
        overdue = stage.ask("a")
        await asyncio.sleep(0.1)
        waiting = stage.ask("b")
        stage.connection.connection_lost(None)
        assert (overdue.told, waiting.told) == (["overdue"], ["lost"])
        assert stage.losses == 1
        assert not stage.connection.open
        assert stage.ask("c").told == ["lost"]

    stage.loop.run(story())


@pytest.mark.parametrize("data", [b"+nobody asked\r\n", b"?garbage\r\n"])
def test_what_can_t_be_right_ends_the_connection(stage: Stage, data: bytes) -> None:
    stage.connection.data_received(data)
    assert stage.wire.aborted


def test_of_several_commands_the_last_one_s_answer_counts(stage: Stage) -> None:
    question = Noted(stage.loop.now + 0.05)
    stage.connection.ask(question, pack("ASKING"), pack("GET", "a"))
    stage.connection.data_received(b"+OK\r\n$1\r\n7\r\n")
    assert question.told == [b"7"]


def test_what_is_only_told_never_misses(stage: Stage) -> None:
    async def story() -> None:
        stage.connection.tell(pack("PING"))
        await asyncio.sleep(10.0)
        assert stage.misses == []
        stage.connection.data_received(b"+PONG\r\n")

    stage.loop.run(story())


def test_a_server_that_lets_too_many_wait_is_asked_no_more(stage: Stage) -> None:
    for _ in range(10_000):
        stage.ask("a")
    assert stage.ask("b").told == ["lost"]


def test_a_call_is_awaited(stage: Stage) -> None:
    async def story() -> None:
        async def answer(data: bytes) -> None:
            await settle()
            stage.connection.data_received(data)

        _, pong = await asyncio.gather(
            answer(b"+PONG\r\n"), stage.connection.call("PING", seconds=1.0)
        )
        assert pong == b"PONG"
        with pytest.raises(hiredis.ReplyError):
            await asyncio.gather(answer(b"-ERR\r\n"), stage.connection.call("X", seconds=1.0))
        with pytest.raises(TimeoutError):
            await stage.connection.call("PING", seconds=1.0)

    stage.loop.run(story())
