"""What an overload does to those who are let in, in figures, on a paused clock."""

from __future__ import annotations

import asyncio

import pytest

from proxy.config.protection import Concurrency
from proxy.contract import Request, Response
from proxy.errors import Unsent
from proxy.upstream.admission import Admission, Lobby
from proxy.wire.deadlines import INTERVAL, Deadlines
from tests.unit.paused_loop import PausedLoop
from tests.unit.policies.world import World, a_request, upstream_response
from tests.unit.upstream.means import some_means

PLACES = 8
MEAN = 0.1
CAPACITY = PLACES / MEAN


class Crowd:
    """A service that takes eight at once, in 50 to 150 ms each, and those who ask it."""

    def __init__(self, loop: PausedLoop, **options: object) -> None:
        self.loop = loop
        self.places = asyncio.Semaphore(PLACES)
        self.asked = 0
        self.deadlines = Deadlines(loop.time)
        chosen = Concurrency.model_validate(options)
        means = some_means(World(), loop.time, self.deadlines, loop)
        self.admission = Admission("users", chosen, Lobby(chosen, loop.time()), self._answer, means)
        self.admission.start()
        self.seconds: list[float] = []
        self.refused = 0

    async def _answer(self, request: Request) -> Response:
        self.asked += 1
        async with self.places:
            await asyncio.sleep((50 + self.asked * 37 % 101) / 1000)
        return upstream_response(200)

    async def _one(self) -> None:
        began = self.loop.time()
        try:
            await self.admission(a_request())
        except Unsent:
            self.refused += 1
        else:
            self.seconds.append(self.loop.time() - began)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            self.deadlines.sweep()

    async def come(self, rate: float, seconds: float) -> None:
        """So many a second, whatever becomes of those before."""
        sweep = self.loop.create_task(self._sweep())
        async with asyncio.TaskGroup() as group:
            for _ in range(int(rate * seconds)):
                group.create_task(self._one())
                await asyncio.sleep(1 / rate)
        sweep.cancel()

    def percentile(self, part: float) -> float:
        return sorted(self.seconds)[int(part * (len(self.seconds) - 1))]


@pytest.mark.parametrize("times", [2, 4, 8])
def test_who_is_let_in_waits_less_than_twice_as_long_as_usual(loop: PausedLoop, times: int) -> None:
    crowd = Crowd(loop, least=8, queue=20, target="10ms", patience="40ms", tolerance=1.2)

    async def story() -> None:
        await crowd.come(CAPACITY / 2, 10)
        usual = crowd.percentile(0.99)
        assert crowd.refused == 0
        # The limit is found within some rounds of measuring.
        await crowd.come(times * CAPACITY, 5)
        crowd.seconds.clear()
        crowd.refused = 0
        await crowd.come(times * CAPACITY, 15)
        assert crowd.percentile(0.99) < 2 * usual
        assert len(crowd.seconds) > 0.8 * CAPACITY * 15
        assert crowd.refused > (times - 1.2) * CAPACITY * 15

    loop.run(story())
