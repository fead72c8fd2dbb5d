"""Who is let in, who waits and who is turned away, on a paused clock."""

from __future__ import annotations

import asyncio
from math import isnan
from typing import Any

import pytest

from proxy.config.protection import Concurrency
from proxy.contract import PRIORITIES, PRIORITY, Request, Response
from proxy.errors import Unanswered, Unsent
from proxy.upstream.admission import Admission, Lobby
from proxy.wire.deadlines import Deadlines
from tests.unit.paused_loop import PausedLoop, settle
from tests.unit.policies.world import World, a_request, upstream_response
from tests.unit.upstream.means import some_means


class Stage:
    """A service that takes four at once and answers when it is let go."""

    def __init__(self, loop: PausedLoop, **options: Any) -> None:
        self.world = World()
        self.loop = loop
        self.deadlines = Deadlines(loop.time)
        self.free = asyncio.Event()
        self.asked: list[str] = []
        self.most = 0
        self.now = 0
        self._means = some_means(self.world, loop.time, self.deadlines, loop)
        settings = {"start": 4, "least": 4, "most": 4, "queue": 3, **options}
        self._options = Concurrency.model_validate(settings)
        self._lobby = Lobby(self._options, loop.time())
        self.admission = self._configured()

    def _configured(self) -> Admission:
        admission = Admission("users", self._options, self._lobby, self._ask, self._means)
        admission.start()
        return admission

    def take_over(self) -> None:
        """As a reload does it."""
        self.admission.stop()
        self.admission = self._configured()

    async def _ask(self, request: Request) -> Response:
        self.asked.append(request.path)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.free.wait()
            if request.path == "/fail":
                raise Unanswered("upstream_timeout")
            return upstream_response(200)
        finally:
            self.now -= 1

    async def send(self, *names: str, priority: str = "normal") -> list[asyncio.Task[str]]:
        tasks = []
        for name in names:
            request = a_request(f"/{name}", client_ip=name[:1])
            request.state[PRIORITY] = PRIORITIES.index(priority)
            tasks.append(self.loop.create_task(self._told(request)))
        await settle()
        return tasks

    async def _told(self, request: Request) -> str:
        try:
            return str((await self.admission(request)).status)
        except (Unsent, Unanswered) as error:
            return error.code

    def shed(self, reason: str, priority: str = "normal") -> float:
        key = ("sidegate_upstream_shed_total", "users", reason, priority)
        cell = self.world.journal.counts.get(key)
        return 0.0 if cell is None else cell.value


def test_no_more_pass_than_the_limit_and_the_queue_is_bounded(loop: PausedLoop) -> None:
    stage = Stage(loop)

    async def story() -> None:
        tasks = await stage.send(*"abcdefghi")
        assert [task.done() for task in tasks] == [False] * 7 + [True] * 2
        assert tasks[-1].result() == "upstream_overloaded"
        assert stage.admission.facts()["concurrency"]["waiting"] == 3
        stage.free.set()
        assert [await task for task in tasks[:7]] == ["200"] * 7
        assert stage.admission.facts()["concurrency"]["under_way"] == 0

    loop.run(story())
    assert stage.most == 4
    assert stage.shed("full") == 2


def test_those_who_are_turned_away_are_told_to_come_again(loop: PausedLoop) -> None:
    stage = Stage(loop, queue=0)

    async def story() -> None:
        await stage.send(*"abcd")
        request = a_request()
        with pytest.raises(Unsent) as raised:
            await stage.admission(request)
        assert (raised.value.status, raised.value.headers) == (503, (("Retry-After", "1"),))
        assert request.decisions == [("concurrency", "refused", "upstream_overloaded")]
        stage.free.set()

    loop.run(story())


def test_nobody_waits_longer_than_it_helps(loop: PausedLoop) -> None:
    stage = Stage(loop, patience="1s")

    async def story() -> None:
        tasks = await stage.send(*"abcdef")
        await asyncio.sleep(0.9)
        stage.deadlines.sweep()
        assert not tasks[5].done()
        await asyncio.sleep(0.2)
        stage.deadlines.sweep()
        assert await tasks[4] == await tasks[5] == "upstream_overloaded"
        stage.free.set()
        assert await tasks[0] == "200"

    loop.run(story())
    assert stage.shed("late") == 2


def test_what_matters_survives(loop: PausedLoop) -> None:
    stage = Stage(loop)

    async def story() -> None:
        tasks = await stage.send(*"abc", priority="low")
        late = await stage.send("d", priority="low")
        assert not late[0].done(), "a quarter of the limit is kept for others"
        assert len(stage.asked) == 3
        [login] = await stage.send("l", priority="critical")
        rest = await stage.send(*"efg", priority="low")
        assert [task.done() for task in rest] == [False, False, True], "the queue is full"
        [other] = await stage.send("m", priority="critical")
        assert [task.done() for task in rest] == [False, True, True], "one gives way"
        stage.free.set()
        assert (await login, await other) == ("200", "200")
        assert [await task for task in tasks] == ["200"] * 3

    loop.run(story())
    assert stage.asked == ["/a", "/b", "/c", "/l", "/m", "/d", "/e"]
    assert (stage.shed("full", "low"), stage.shed("late", "low")) == (1, 1)


def test_keys_take_turns_where_that_is_asked_for(loop: PausedLoop) -> None:
    stage = Stage(loop, fair="client_ip", queue=10)

    async def story() -> None:
        tasks = await stage.send("w", "x", "y", "z", "a1", "a2", "a3", "b1")
        stage.free.set()
        for task in tasks:
            await task

    loop.run(story())
    assert stage.asked[4:] == ["/a1", "/b1", "/a2", "/a3"]


def test_a_client_that_leaves_gives_up_its_place(loop: PausedLoop) -> None:
    stage = Stage(loop)

    async def story() -> None:
        tasks = await stage.send(*"abcdef")
        tasks[4].cancel()
        tasks[0].cancel()
        await settle()
        assert stage.asked == ["/a", "/b", "/c", "/d", "/f"]
        stage.free.set()
        for task in (*tasks[1:4], tasks[5]):
            assert await task == "200"
        assert stage.admission.facts()["concurrency"] == {
            "limit": 4, "under_way": 0, "waiting": 0, "usual_ms": 0.0,
        }  # fmt: skip

    loop.run(story())


def test_failures_are_passed_on_and_make_room(loop: PausedLoop) -> None:
    stage = Stage(loop)

    async def story() -> None:
        tasks = await stage.send("fail", "fail", "fail", "fail", "ok")
        stage.free.set()
        assert [await task for task in tasks] == ["upstream_timeout"] * 4 + ["200"]

    loop.run(story())


def test_in_shadow_all_pass_and_are_counted(loop: PausedLoop) -> None:
    stage = Stage(loop, mode="shadow")

    async def story() -> None:
        tasks = await stage.send(*"abcdef")
        assert len(stage.asked) == 6
        stage.free.set()
        assert [await task for task in tasks] == ["200"] * 6

    loop.run(story())
    assert stage.shed("full") == 2


def test_another_configuration_counts_on_where_the_one_before_was(loop: PausedLoop) -> None:
    """Else each reload would let as many in again."""
    stage = Stage(loop)

    async def story() -> None:
        before = await stage.send(*"abcdef")
        stage.take_over()
        after = await stage.send(*"gh")
        assert stage.asked == ["/a", "/b", "/c", "/d"]
        stage.free.set()
        told = [await task for task in before + after]
        assert told == ["200"] * 7 + ["upstream_overloaded"], "three may wait"
        assert stage.most == 4
        stage.deadlines.sweep()
        assert len(stage.deadlines) == 1, "the present one's"

    loop.run(story())


def test_whoever_waits_when_it_ends_is_turned_away_in_time(loop: PausedLoop) -> None:
    stage = Stage(loop)

    async def story() -> None:
        tasks = await stage.send(*"abcdef")
        stage.admission.stop()
        stage.deadlines.sweep()
        assert not tasks[4].done()
        loop.now += 1.0
        stage.deadlines.sweep()
        assert [await task for task in tasks[4:]] == ["upstream_overloaded"] * 2
        stage.deadlines.sweep()
        assert len(stage.deadlines) == 0
        stage.free.set()
        assert [await task for task in tasks[:4]] == ["200"] * 4

    loop.run(story())


def test_its_figures_end_with_it_unless_another_takes_over(loop: PausedLoop) -> None:
    async def story() -> None:
        stage = Stage(loop)
        await stage.send("a", "b")
        gauges = stage.world.journal.gauges
        told = [
            gauges[f"sidegate_upstream_concurrency_{name}", "users"]
            for name in ("limit", "under_way", "waiting")
        ]
        stage.take_over()
        assert [level.value for level in told] == [4.0, 2.0, 0.0]
        stage.admission.stop()
        assert all(isnan(level.value) for level in told)
        stage.free.set()

    loop.run(story())
