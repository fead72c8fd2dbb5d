"""The algorithms, on paused clocks: exact, and never too generous, however workers take turns."""

from __future__ import annotations

from fractions import Fraction
from math import floor, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limits import Algorithm
from proxy.store.counting import PARTS
from tests.unit.store.workers import Workers, admits, quota

RATED: tuple[Algorithm, ...] = ("gcra", "sliding_window", "fixed_window")

TURNS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3000), st.integers(1, 3)), min_size=1, max_size=60
)
"""Which worker, after how many milliseconds, at what cost."""


class TestGcra:
    def test_verdicts_tell_what_is_left_and_how_long_to_wait(self) -> None:
        workers = Workers()
        limiter = workers.limiter(quota(1, 10.0, 3))
        told = [limiter.take("k")[0] for _ in range(4)]
        assert [verdict.allowed for verdict in told] == [True, True, True, False]
        assert [verdict.remaining for verdict in told] == [2, 1, 0, 0]
        assert [verdict.retry_after for verdict in told] == [0.0, 0.0, 0.0, 10.0]
        assert [verdict.reset_after for verdict in told] == [10.0, 20.0, 30.0, 30.0]
        workers.wait(9.5)
        verdict = limiter.take("k")[0]
        assert (verdict.allowed, verdict.retry_after) == (False, 0.5)
        workers.wait(0.5)
        assert admits(limiter)

    def test_a_request_may_cost_more_than_one(self) -> None:
        limiter = Workers().limiter(quota(1, 1.0, 10))
        assert limiter.take("k", 7)[0].remaining == 3
        verdict = limiter.take("k", 4)[0]
        assert (verdict.allowed, verdict.remaining, verdict.retry_after) == (False, 3, 1.0)
        assert admits(limiter, cost=3)

    @given(
        count=st.integers(1, 50),
        period=st.sampled_from([1, 30, 60, 3600]),
        burst=st.integers(1, 20),
        start=st.integers(0, 10**7),
        turns=TURNS,
    )
    def test_it_agrees_with_exact_arithmetic(
        self, count: int, period: int, burst: int, start: int, turns: list[tuple[int, int, int]]
    ) -> None:
        """Times are whole milliseconds, so that requests often come exactly at the boundary."""
        workers = Workers(4)
        limiters = workers.limiters(quota(count, period, burst))
        interval = Fraction(period, count)
        milliseconds = start
        level = Fraction(0)
        seen = Fraction(start, 1000)
        for worker, wait, cost in turns:
            milliseconds += wait
            now = Fraction(milliseconds, 1000)
            workers.now = milliseconds / 1000
            # The oracle is a leaking bucket in fractions.
            level = max(Fraction(0), level - (now - seen) / interval)
            seen = now
            fits = level + cost <= burst
            verdict = limiters[worker].take("k", cost)[0]
            assert verdict.allowed is fits
            if fits:
                level += cost
                assert verdict.retry_after == 0.0
            elif cost > burst:
                assert verdict.retry_after == inf
            else:
                wanted = float((level + cost - burst) * interval)
                assert verdict.retry_after == pytest.approx(wanted, abs=1e-6)
            assert verdict.reset_after == pytest.approx(float(level * interval), abs=1e-5)

    @given(
        rate=st.integers(1, 1000),
        burst=st.integers(1, 100),
        waits=st.lists(st.tuples(st.integers(0, 3), st.floats(0, 2)), max_size=100),
    )
    def test_no_stretch_of_time_admits_more_than_burst_and_rate(
        self, rate: int, burst: int, waits: list[tuple[int, float]]
    ) -> None:
        workers = Workers(4)
        limiters = workers.limiters(quota(rate, 1.0, burst))
        admitted: list[float] = []
        for worker, wait in waits:
            workers.wait(wait)
            while admits(limiters[worker]):
                admitted.append(workers.now)
        for first in range(0, len(admitted), 7):
            elapsed = admitted[-1] - admitted[first]
            assert len(admitted) - first <= burst + elapsed * rate + 1e-3

    def test_a_rate_beyond_the_clock_s_resolution_admits_no_more(self) -> None:
        workers = Workers()
        workers.now = 1e8
        limiter = workers.limiter(quota(5_000_000, 1.0, 10))
        assert sum(admits(limiter) for _ in range(20)) == 10

    def test_years_of_uptime_don_t_refuse_a_full_burst(self) -> None:
        workers = Workers()
        workers.now = 1e8 + 0.123
        limiter = workers.limiter(quota(1000))
        assert all(admits(limiter) for _ in range(1000))
        assert not admits(limiter)

    def test_a_worker_whose_clock_was_read_earlier_gains_nothing(self) -> None:
        workers = Workers(2)
        first, second = workers.limiters(quota(1, 1.0, 1))
        workers.wait(0.5)
        assert admits(first)
        workers.wait(-0.4)
        assert not admits(second)
        workers.wait(1.3)
        assert not admits(second), "an interval after the later reading"
        workers.wait(0.1)
        assert admits(second)


class TestFixedWindow:
    def test_a_full_allowance_comes_with_each_window(self) -> None:
        workers = Workers()
        workers.wall = 1_799_999_999.0
        limiter = workers.limiter(quota(3, 60.0, algorithm="fixed_window"))
        rest = 60.0 - 1_799_999_999.0 % 60
        told = [limiter.take("k")[0] for _ in range(4)]
        assert [verdict.remaining for verdict in told] == [2, 1, 0, 0]
        assert [verdict.allowed for verdict in told] == [True] * 3 + [False]
        assert told[3].retry_after == told[0].reset_after == rest
        workers.wait(rest)
        assert admits(limiter)

    @given(count=st.integers(1, 12), period=st.sampled_from([1, 7, 60]), turns=TURNS)
    def test_each_window_admits_what_the_limit_says(
        self, count: int, period: int, turns: list[tuple[int, int, int]]
    ) -> None:
        workers = Workers(4)
        limiters = workers.limiters(quota(count, period, algorithm="fixed_window"))
        used: dict[int, int] = {}
        for worker, wait, cost in turns:
            workers.wait(wait / 1000)
            window = floor(workers.wall / period)
            fits = used.get(window, 0) + cost <= count
            assert admits(limiters[worker], cost=cost) is fits
            used[window] = used.get(window, 0) + cost * fits

    @given(
        steps=st.lists(st.tuples(st.integers(0, 3), st.floats(-20, 30)), min_size=1, max_size=60)
    )
    def test_a_clock_that_is_set_back_opens_no_window_again(
        self, steps: list[tuple[int, float]]
    ) -> None:
        workers = Workers(4)
        limiters = workers.limiters(quota(5, 60.0, algorithm="fixed_window"))
        used: dict[int, int] = {}
        furthest = 0.0
        for worker, step in steps:
            # Set back by less than a window, all in all.
            workers.wall = max(workers.wall + step, furthest - 50)
            furthest = max(furthest, workers.wall)
            if admits(limiters[worker]):
                window = floor(furthest / 60)
                used[window] = used.get(window, 0) + 1
        assert max(used.values()) <= 5

    def test_a_clock_that_was_years_ahead_locks_nobody_out(self) -> None:
        workers = Workers()
        limiter = workers.limiter(quota(1, 60.0, algorithm="fixed_window"))
        workers.wait(1e8)
        assert admits(limiter)
        workers.wall -= 1e8
        assert admits(limiter)


class TestSlidingWindow:
    @given(
        count=st.integers(1, 12),
        period=st.sampled_from([1, 10, 60]),
        turns=st.lists(
            st.tuples(st.integers(0, 3), st.floats(0, 20), st.integers(1, 3), st.floats(0, 0.5)),
            min_size=1,
            max_size=60,
        ),
    )
    def test_no_stretch_of_the_period_admits_more_than_the_limit(
        self, count: int, period: int, turns: list[tuple[int, float, int, float]]
    ) -> None:
        """Whether time passes evenly or the wall clock is set back now and then."""
        workers = Workers(4)
        limiters = workers.limiters(quota(count, period, algorithm="sliding_window"))
        admitted: list[tuple[float, int]] = []
        for worker, wait, cost, back in turns:
            workers.wait(wait)
            workers.wall -= min(back * period, wait)
            if admits(limiters[worker], cost=cost):
                admitted.append((workers.now, cost))
                begin = workers.now - period
                assert sum(cost for when, cost in admitted if when > begin) <= count

    @given(count=st.integers(1, 12), period=st.sampled_from([1, 10, 60]), turns=TURNS)
    def test_what_is_a_sixteenth_past_the_period_counts_no_longer(
        self, count: int, period: int, turns: list[tuple[int, int, int]]
    ) -> None:
        workers = Workers(4)
        limiters = workers.limiters(quota(count, period, algorithm="sliding_window"))
        admitted: list[tuple[float, int]] = []
        for worker, wait, cost in turns:
            workers.wait(wait / 1000)
            begin = workers.wall - period * (PARTS + 1) / PARTS
            counting = sum(cost for when, cost in admitted if when > begin)
            if admits(limiters[worker], cost=cost):
                admitted.append((workers.wall, cost))
            else:
                assert counting + cost > count

    def test_who_waits_as_told_is_admitted(self) -> None:
        workers = Workers()
        limiter = workers.limiter(quota(4, 16.0, algorithm="sliding_window"))
        for _ in range(4):
            workers.wait(1.0)
            assert admits(limiter)
        for cost, left in ((1, 0), (3, 0)):
            verdict = limiter.take("k", cost)[0]
            assert (verdict.allowed, verdict.remaining) == (False, left)
            workers.wait(verdict.retry_after)
            assert admits(limiter, cost=cost)

    def test_a_clock_that_was_years_ahead_locks_nobody_out(self) -> None:
        workers = Workers()
        limiter = workers.limiter(quota(1, 60.0, algorithm="sliding_window"))
        workers.wait(1e8)
        assert admits(limiter)
        workers.wall -= 1e8
        assert admits(limiter)


class TestConcurrency:
    @given(
        limit=st.integers(1, 6),
        steps=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=80),
    )
    def test_never_more_are_in_flight_than_the_limit_says(
        self, limit: int, steps: list[tuple[int, bool]]
    ) -> None:
        workers = Workers(4)
        limiters = workers.limiters(quota(limit, 0.0, algorithm="concurrency"))
        held = [0, 0, 0, 0]
        for worker, begins in steps:
            if begins:
                fits = sum(held) < limit
                assert admits(limiters[worker]) is fits
                held[worker] += fits
            elif held[worker]:
                limiters[worker].give_back("k", 1, limiters[worker].look("k"))
                held[worker] -= 1
        assert limiters[0].look("k")[0].remaining == limit - sum(held)

    def test_a_key_without_requests_takes_no_place(self) -> None:
        workers = Workers()
        limiter = workers.limiter(quota(2, 0.0, algorithm="concurrency"))
        reading = limiter.take("k")
        assert workers.region.flight.live(workers.now) == 1
        limiter.give_back("k", 1, reading)
        assert workers.region.flight.live(workers.now) == 0

    def test_the_last_worker_that_can_count_does(self) -> None:
        workers = Workers(257)
        limiters = workers.limiters(quota(257, 0.0, algorithm="concurrency"))
        assert all(admits(limiter) for limiter in limiters)
        assert not admits(limiters[-1])

    def test_a_refused_request_is_told_to_come_again_soon(self) -> None:
        limiter = Workers().limiter(quota(1, 0.0, algorithm="concurrency"))
        assert admits(limiter)
        assert limiter.take("k")[0].retry_after == 1.0


class TestAll:
    @pytest.mark.parametrize("algorithm", RATED)
    def test_a_refusal_takes_nothing(self, algorithm: Algorithm) -> None:
        workers = Workers()
        limiter = workers.limiter(quota(3, algorithm=algorithm))
        assert admits(limiter, cost=2)
        for _ in range(100):
            assert not admits(limiter, cost=2)
        assert admits(limiter)

    @pytest.mark.parametrize("algorithm", RATED)
    def test_a_look_takes_nothing_and_tells_what_is_left(self, algorithm: Algorithm) -> None:
        limiter = Workers().limiter(quota(3, 60.0, algorithm=algorithm))
        limiter.take("k", 2)
        for _ in range(3):
            verdict = limiter.look("k")[0]
            assert (verdict.allowed, verdict.remaining) == (True, 1)
        assert not limiter.look("k", 2)[0].allowed
        assert admits(limiter)
        assert not limiter.look("k")[0].allowed

    @pytest.mark.parametrize("algorithm", RATED)
    def test_a_charge_is_taken_whether_there_is_room_or_not(self, algorithm: Algorithm) -> None:
        workers = Workers()
        limiter = workers.limiter(quota(10, 1.0, algorithm=algorithm))
        limiter.charge("k", 25)
        verdict = limiter.look("k")[0]
        assert (verdict.allowed, verdict.remaining) == (False, 0)
        workers.wait(verdict.retry_after + 1e-9)
        assert admits(limiter)

    @pytest.mark.parametrize("algorithm", RATED)
    def test_what_never_fits_is_told_so(self, algorithm: Algorithm) -> None:
        limiter = Workers().limiter(quota(10, 1.0, algorithm=algorithm))
        verdict = limiter.take("k", 11)[0]
        assert (verdict.allowed, verdict.retry_after) == (False, inf)

    @pytest.mark.parametrize("algorithm", RATED)
    def test_what_is_given_back_at_once_was_never_taken(self, algorithm: Algorithm) -> None:
        limiter = Workers().limiter(quota(3, 60.0, algorithm=algorithm))
        for _ in range(20):
            reading = limiter.take("k", 2)
            assert reading[0].allowed
            limiter.give_back("k", 2, reading)
        assert limiter.look("k")[0].remaining == 3

    @pytest.mark.parametrize("algorithm", RATED)
    @given(
        limit=st.integers(1, 5),
        steps=st.lists(st.tuples(st.floats(0, 0.7), st.floats(0, 2), st.booleans()), max_size=60),
    )
    def test_giving_back_never_lets_more_count_than_the_limit(
        self, algorithm: Algorithm, limit: int, steps: list[tuple[float, float, bool]]
    ) -> None:
        """Each request is answered after a while, and gives back what it took if it doesn't
        count; those that count obey the limit as if there were no others."""
        workers = Workers()
        limiter = workers.limiter(quota(limit, 1.0, algorithm=algorithm))
        counted: list[tuple[float, float]] = []
        waiting: list[tuple[float, object]] = []
        for wait, lasts, counts in steps:
            workers.wait(wait)
            for due, reading in waiting.copy():
                if due <= workers.now:
                    waiting.remove((due, reading))
                    limiter.give_back("k", 1, reading)  # type: ignore[arg-type]
            reading = limiter.take("k")
            if not reading[0].allowed:
                continue
            if counts:
                counted.append((workers.now, workers.wall))
            else:
                waiting.append((workers.now + lasts, reading))
        for index, (now, wall) in enumerate(counted):
            if algorithm == "fixed_window":
                same = [w for _, w in counted if floor(w) == floor(wall)]
                assert len(same) <= limit
            elif algorithm == "sliding_window":
                assert sum(now - 1.0 < other <= now for other, _ in counted) <= limit
            else:
                for later, (end, _) in enumerate(counted[index:], start=1):
                    assert later <= limit + (end - now) * limit + 1e-3
