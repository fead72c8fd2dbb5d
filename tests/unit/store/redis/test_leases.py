"""Leases: most requests ask nobody, and workers together admit one lease each too many at most.

The source is the store in memory, which counts exactly; answers may take a while.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limits import Algorithm, Reading
from proxy.store.redis.leases import LASTS, Leases
from tests.unit.store.workers import Workers, quota


class Source:
    """Gives leases of one limit for all workers. asked: how often, and given: how often
    something came back. since: when somebody began to wait for the last one. Answers wait in
    `pending` until they are let go. dead: no answer ever comes."""

    def __init__(self, workers: Workers, algorithm: Algorithm, limit: int, period: float) -> None:
        self.limiter = workers.limiter(quota(limit, period, algorithm=algorithm))
        self.asked = 0
        self.given = 0
        self.since = 0.0
        self.dead = False
        self.held = False
        self.pending: list[Callable[[], None]] = []

    def lease(
        self,
        key: str,
        cost: int,
        more: int,
        since: float,
        answered: Callable[[int, Reading], None],
        failed: Callable[[], None],
    ) -> None:
        self.asked += 1
        self.since = since
        if self.dead:
            failed()
            return
        reading = self.limiter.look(key, cost)
        taken = 0
        if reading[0].allowed:
            taken = min(cost + more, reading[0].remaining)
            reading = self.limiter.take(key, taken)
        if self.held:
            self.pending.append(lambda: answered(taken, reading))
        else:
            answered(taken, reading)

    def give_back(self, key: str, cost: int, reading: Reading) -> None:
        self.given += 1
        self.limiter.give_back(key, cost, reading)

    def let_go(self) -> None:
        while self.pending:
            self.let_go_one()

    def let_go_one(self) -> None:
        self.pending.pop(0)()


class Worker:
    """admitted: when."""

    def __init__(self, source: Source, batch: int, clock: Callable[[], float]) -> None:
        self.leases = Leases(source, batch, clock)
        self.admitted: list[float] = []
        self._clock = clock

    def take(self, key: str = "k", cost: int = 1) -> None:
        """A request, which may have to wait for its answer."""
        reading = self.leases.take(key, cost)
        if reading is None:
            self.leases.wait(key, cost, lambda reading: self._note(reading, cost))
        else:
            self._note(reading, cost)

    def _note(self, reading: Reading | None, cost: int) -> None:
        if reading is not None and all(verdict.allowed for verdict in reading):
            self.admitted += [self._clock()] * cost


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.floats(0, 1.5), st.integers(1, 3), st.integers(1, 12)),
    max_size=60,
)
"""Which worker, after which time, at what cost, and how many requests."""


@pytest.mark.parametrize("algorithm", ["gcra", "sliding_window", "fixed_window"])
@given(limit=st.integers(3, 30), batch=st.integers(1, 5), held=st.booleans(), steps=STEPS)
def test_no_stretch_of_time_admits_more_than_the_limit_and_a_lease_for_each_worker(
    algorithm: Algorithm,
    limit: int,
    batch: int,
    held: bool,
    steps: list[tuple[int, float, int, int]],
) -> None:
    workers = Workers(1)
    period = 10.0
    source = Source(workers, algorithm, limit, period)
    source.held = held
    team = [Worker(source, batch, lambda: workers.now) for _ in range(3)]
    for index, wait, cost, count in steps:
        workers.wait(wait)
        for worker in team:
            worker.leases.sweep()
        for _ in range(count):
            team[index].take("k", cost)
        source.let_go()
    admitted = sorted(when for worker in team for when in worker.admitted)
    spare = 3 * batch
    if algorithm == "fixed_window":
        begin = workers.wall - workers.now
        windows = [floor((when + begin) / period) for when in admitted]
        assert all(windows.count(window) <= limit + spare for window in set(windows))
    else:
        rate = limit / period if algorithm == "gcra" else 0.0
        for first, since in enumerate(admitted):
            for number, until in enumerate(admitted[first:], start=1):
                if algorithm == "gcra" or until - since < period:
                    assert number <= limit + spare + (until - since) * rate + 1e-3


@given(steps=STEPS, limit=st.integers(3, 30), batch=st.integers(1, 5))
def test_all_of_it_is_given_out_to_one_who_asks_long_enough(
    steps: list[tuple[int, float, int, int]], limit: int, batch: int
) -> None:
    """What others had in hand comes back to the rest."""
    workers = Workers(1)
    source = Source(workers, "fixed_window", limit, 1e6)
    workers.wall = 1e9
    team = [Worker(source, batch, lambda: workers.now) for _ in range(3)]
    for index, wait, _, count in steps:
        workers.wait(wait)
        for _ in range(count):
            team[index].take("k")
    for _ in range(3):
        workers.wait(LASTS + 0.1)
        for worker in team:
            worker.leases.sweep()
    for _ in range(2 * limit):
        team[0].take("k")
        workers.wait(0.01)
    assert sum(len(worker.admitted) for worker in team) == limit


class TestOneWorker:
    def worker(
        self, limit: int = 1000, batch: int = 100, period: float = 1.0
    ) -> tuple[Workers, Source, Worker]:
        workers = Workers(1, keys=40_000)
        source = Source(workers, "gcra", limit, period)
        return workers, source, Worker(source, batch, lambda: workers.now)

    def test_most_requests_ask_nobody(self) -> None:
        workers, source, worker = self.worker()
        for _ in range(5000):
            workers.wait(0.001)
            worker.take()
        assert len(worker.admitted) == 5000
        assert source.asked < 5000 / 40

    def test_more_is_asked_for_before_it_is_needed(self) -> None:
        _, source, worker = self.worker()
        for _ in range(500):
            worker.take()
        asked = source.asked
        source.held = True
        for _ in range(50):
            worker.take()
        assert len(worker.admitted) == 550, "nobody had to wait"
        assert source.asked <= asked + 1

    def test_leases_grow_with_use(self) -> None:
        _, source, worker = self.worker()
        left = []
        for _ in range(200):
            worker.take()
            left.append(1000 - source.limiter.look("k")[0].remaining - len(worker.admitted))
        assert left[0] == 0, "a key may come but once"
        assert max(left[:10]) <= 16
        assert 50 <= max(left[-100:]) <= 100

    def test_keys_that_come_once_leave_nothing_to_give_back(self) -> None:
        workers, source, worker = self.worker()
        for number in range(500):
            worker.take(str(number))
        workers.wait(LASTS)
        while worker.leases.sweep():
            pass
        assert (len(worker.leases), source.given) == (0, 0)

    def test_what_goes_back_does_so_in_portions(self) -> None:
        """So that no request waits for all of it."""
        workers, source, worker = self.worker()
        for number in range(120):
            worker.take(str(number))
            worker.take(str(number))
        workers.wait(LASTS)
        portions = []
        more = True
        while more:
            before = source.given
            more = worker.leases.sweep()
            portions.append(source.given - before)
        assert portions == [50, 50, 20]

    def test_those_who_wait_share_one_question(self) -> None:
        _, source, worker = self.worker(batch=10)
        source.held = True
        for _ in range(50):
            worker.take()
        assert source.asked == 1
        source.held = False
        source.let_go()
        assert len(worker.admitted) == 50
        assert source.asked <= 3

    def test_who_waits_for_a_second_answer_waits_no_longer_for_both(self) -> None:
        workers, source, worker = self.worker(limit=100, batch=1)
        source.held = True
        begun = workers.now
        worker.take("k")
        workers.wait(0.01)
        worker.take("k", 2)
        workers.wait(0.03)
        source.let_go_one()
        assert (source.asked, source.since) == (2, begun + 0.01)
        workers.wait(0.5)
        worker.take("other")
        assert source.since == workers.now

    def test_what_costs_nothing_is_admitted_though_nothing_is_left(self) -> None:
        _, source, worker = self.worker(limit=5, batch=5, period=1000.0)
        source.limiter.charge("k", 5)
        told: list[Reading | None] = []
        worker.leases.wait("k", 0, told.append)
        [reading] = told
        assert reading is not None
        assert (reading[0].allowed, reading[0].remaining) == (True, 0)

    def test_once_nothing_is_left_nobody_is_asked_until_something_may_be(self) -> None:
        workers, source, worker = self.worker(limit=10, batch=5, period=10.0)
        for _ in range(200):
            worker.take()
        asked = source.asked
        assert len(worker.admitted) == 10
        assert asked < 10
        workers.wait(0.5)
        worker.take()
        assert source.asked == asked
        workers.wait(0.6)
        worker.take()
        assert len(worker.admitted) == 11

    def test_what_is_told_counts_down(self) -> None:
        _, _, worker = self.worker(limit=100, batch=10)
        worker.take()
        worker.take()
        left = []
        for _ in range(5):
            reading = worker.leases.take("k", 1)
            assert reading is not None
            left.append(reading[0].remaining)
        assert left == sorted(left, reverse=True)
        assert left[0] == 97

    def test_a_refusal_tells_how_long_to_wait_from_now(self) -> None:
        workers, _, worker = self.worker(limit=1, batch=1, period=10.0)
        worker.take()
        worker.take()
        workers.wait(0.5)
        reading = worker.leases.take("k", 1)
        assert reading is not None
        assert reading[0].retry_after == pytest.approx(9.5)

    def test_what_isn_t_used_goes_back(self) -> None:
        workers, source, worker = self.worker(limit=100, batch=50, period=1000.0)
        worker.take()
        worker.take()
        assert source.limiter.look("k")[0].remaining == 94
        workers.wait(LASTS)
        worker.leases.sweep()
        assert source.limiter.look("k")[0].remaining == 98
        assert len(worker.leases) == 0

    def test_at_the_end_all_goes_back(self) -> None:
        _, source, worker = self.worker(limit=100, batch=50, period=1000.0)
        for key in "abab":
            worker.take(key)
        worker.leases.clear()
        assert source.given == 2
        assert source.limiter.look("a")[0].remaining == 98
        assert source.limiter.look("b")[0].remaining == 98

    def test_what_is_forgotten_is_asked_for_anew(self) -> None:
        _, source, worker = self.worker(limit=2, batch=2, period=1000.0)
        worker.take()
        worker.take()
        worker.take()
        source.limiter.reset("k")
        worker.leases.forget("k")
        worker.leases.forget("unknown")
        worker.take()
        assert len(worker.admitted) == 3

    def test_without_an_answer_those_who_wait_are_told(self) -> None:
        _, source, worker = self.worker()
        source.dead = True
        told: list[Reading | None] = []
        worker.leases.wait("k", 1, told.append)
        assert told == [None]
        source.dead = False
        worker.take()
        assert len(worker.admitted) == 1

    def test_keys_are_bounded_and_what_they_had_goes_back(self) -> None:
        _, _, worker = self.worker(limit=100, batch=50, period=1000.0)
        for number in range(10_050):
            worker.take(str(number))
        assert len(worker.leases) == 10_000
        assert len(worker.admitted) == 10_050

    def test_a_lease_that_was_thrown_out_while_it_was_asked_for_goes_back(self) -> None:
        _, source, worker = self.worker(limit=100, batch=50, period=1000.0)
        worker.take("early")
        source.held = True
        worker.take("early")
        source.held = False
        for number in range(10_000):
            worker.take(str(number))
        source.let_go()
        assert len(worker.admitted) == 10_002
        assert source.limiter.look("early")[0].remaining == 98
