"""The in-memory store: an exact limiter in bounded memory, on a paused clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.contract import Verdict
from proxy.store.memory import Memory


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: float = 5000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def at_once(work: Coroutine[Any, Any, Verdict]) -> Verdict:
    """The outcome of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        verdict = done.value
        assert isinstance(verdict, Verdict)
        return verdict
    raise AssertionError("the store waited")


def test_verdicts_tell_what_is_left_and_how_long_to_wait() -> None:
    clock = Clock()
    store = Memory(clock)
    told = [at_once(store.gcra("k", 10.0, 3)) for _ in range(4)]
    assert [verdict.allowed for verdict in told] == [True, True, True, False]
    assert [verdict.remaining for verdict in told] == [2, 1, 0, 0]
    assert [verdict.retry_after for verdict in told] == [0.0, 0.0, 0.0, 10.0]
    assert [verdict.reset_after for verdict in told] == [10.0, 20.0, 30.0, 30.0]
    clock.now += 9.5
    verdict = at_once(store.gcra("k", 10.0, 3))
    assert (verdict.allowed, verdict.retry_after) == (False, 0.5)
    clock.now += 0.5
    assert at_once(store.gcra("k", 10.0, 3)).allowed


def test_a_refusal_takes_nothing() -> None:
    clock = Clock()
    store = Memory(clock)
    at_once(store.gcra("k", 1.0, 1))
    for _ in range(100):
        assert not at_once(store.gcra("k", 1.0, 1)).allowed
    clock.now += 1.0
    assert at_once(store.gcra("k", 1.0, 1)).allowed


def test_a_request_may_cost_more_than_one() -> None:
    store = Memory(Clock())
    verdict = at_once(store.gcra("k", 1.0, 10, 7))
    assert (verdict.allowed, verdict.remaining) == (True, 3)
    verdict = at_once(store.gcra("k", 1.0, 10, 4))
    assert (verdict.allowed, verdict.remaining, verdict.retry_after) == (False, 3, 1.0)
    assert at_once(store.gcra("k", 1.0, 10, 3)).allowed
    assert not at_once(store.gcra("other", 1.0, 10, 11)).allowed


def test_keys_do_not_share() -> None:
    store = Memory(Clock())
    assert at_once(store.gcra("a", 1.0, 1)).allowed
    assert at_once(store.gcra("b", 1.0, 1)).allowed


STEPS = st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 3)), min_size=1, max_size=60)


@given(
    count=st.integers(1, 50),
    period=st.sampled_from([1, 30, 60, 3600]),
    burst=st.integers(1, 20),
    start=st.integers(0, 10**7),
    steps=STEPS,
)
def test_it_agrees_with_exact_arithmetic(
    count: int, period: int, burst: int, start: int, steps: list[tuple[int, int]]
) -> None:
    """Times are whole milliseconds, so that requests often come exactly at the boundary."""
    clock = Clock()
    store = Memory(clock)
    interval = Fraction(period, count)
    milliseconds = start
    level = Fraction(0)
    seen = Fraction(start, 1000)
    for wait, cost in steps:
        milliseconds += wait
        now = Fraction(milliseconds, 1000)
        clock.now = milliseconds / 1000
        # The oracle is a leaking bucket in fractions.
        level = max(Fraction(0), level - (now - seen) / interval)
        seen = now
        fits = level + cost <= burst
        verdict = at_once(store.gcra("k", period / count, burst, cost))
        assert verdict.allowed is fits
        if fits:
            level += cost
            assert verdict.retry_after == 0.0
        else:
            wanted = float((level + cost - burst) * interval)
            assert verdict.retry_after == pytest.approx(wanted, abs=1e-6)
        assert verdict.reset_after == pytest.approx(float(level * interval), abs=1e-5)


@given(
    rate=st.integers(1, 1000),
    burst=st.integers(1, 100),
    waits=st.lists(st.floats(0, 2), max_size=100),
)
def test_no_stretch_of_time_admits_more_than_burst_and_rate(
    rate: int, burst: int, waits: list[float]
) -> None:
    clock = Clock(123456.789)
    store = Memory(clock)
    admitted: list[float] = []
    for wait in waits:
        clock.now += wait
        while at_once(store.gcra("k", 1 / rate, burst)).allowed:
            admitted.append(clock.now)
    for first in range(0, len(admitted), 7):
        elapsed = admitted[-1] - admitted[first]
        assert len(admitted) - first <= burst + elapsed * rate + 1e-3


def test_years_of_uptime_don_t_refuse_a_full_burst() -> None:
    store = Memory(Clock(1e8 + 0.123))
    assert all(at_once(store.gcra("k", 0.001, 1000)).allowed for _ in range(1000))
    assert not at_once(store.gcra("k", 0.001, 1000)).allowed


def test_expired_keys_are_forgotten_as_new_ones_come() -> None:
    clock = Clock()
    store = Memory(clock, max_keys=10_000)
    for n in range(1000):
        at_once(store.gcra(f"old{n}", 1.0, 1))
    clock.now += 2.0
    for n in range(200):
        at_once(store.gcra(f"new{n}", 1.0, 1))
    assert len(store) == 200


def test_a_key_that_was_used_again_is_not_forgotten_with_its_first_use() -> None:
    clock = Clock()
    store = Memory(clock)
    at_once(store.gcra("k", 1.0, 2))
    clock.now += 0.9
    at_once(store.gcra("k", 1.0, 2))
    clock.now += 0.2
    at_once(store.gcra("new", 1.0, 1))
    assert at_once(store.gcra("k", 1.0, 2)).remaining == 0
    assert len(store) == 2


def test_keys_never_exceed_the_bound() -> None:
    store = Memory(Clock(), max_keys=100)
    for n in range(1000):
        at_once(store.gcra(f"k{n}", 60.0, 5))
        assert len(store) <= 100


def test_when_all_are_live_the_least_restricted_goes() -> None:
    store = Memory(Clock(), max_keys=3)
    for key, times in (("much", 5), ("little", 1), ("some", 3)):
        for _ in range(times):
            at_once(store.gcra(key, 60.0, 5))
    at_once(store.gcra("new", 60.0, 5))
    assert not at_once(store.gcra("much", 60.0, 5)).allowed
    assert at_once(store.gcra("some", 60.0, 5)).remaining == 1
    assert len(store) == 3


def test_a_limited_key_survives_a_flood_of_new_ones() -> None:
    store = Memory(Clock(), max_keys=50)
    for _ in range(5):
        at_once(store.gcra("abuser", 60.0, 5))
    for n in range(1000):
        at_once(store.gcra(f"k{n}", 60.0, 5))
    assert not at_once(store.gcra("abuser", 60.0, 5)).allowed


class Counted(str):
    """A key that counts how often it is compared, which is the work that a heap does."""

    __slots__ = ()
    compared = 0

    def __lt__(self, other: str) -> bool:
        Counted.compared += 1
        return str.__lt__(self, other)

    def __hash__(self) -> int:
        return str.__hash__(self)


def test_making_room_takes_bounded_work_even_when_every_note_is_stale() -> None:
    store = Memory(Clock(), max_keys=4096)
    for _ in range(3):
        for n in range(4096):
            at_once(store.gcra(Counted(f"k{n}"), 60.0, 5))
    Counted.compared = 0
    at_once(store.gcra(Counted("new"), 60.0, 5))
    assert len(store) == 4096
    # Two rounds of eight looks, each at most some comparisons for each level of the heap.
    assert 0 < Counted.compared < 2 * 2 * 8 * 2 * 13


def test_there_is_room_for_one_key_at_least() -> None:
    with pytest.raises(ValueError, match="one key"):
        Memory(Clock(), max_keys=0)


def test_it_is_a_coroutine_like_any_store() -> None:
    assert asyncio.run(Memory(Clock()).gcra("k", 1.0, 1)) == Verdict(True, 0, 0.0, 1.0)
