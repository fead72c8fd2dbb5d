"""Choices: fair by weight, fond of the less busy, and fast among a thousand."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.upstream.balance import (
    Choice,
    Hashed,
    Lot,
    RoundRobin,
    ewma,
    fewest_tunnels,
    least_request,
)
from tests.unit.upstream.seats import Chair, chairs, counted, seeded

Make = Callable[..., Choice[Chair]]

SAMPLED: list[Any] = [
    pytest.param(Lot, id="random"),
    pytest.param(least_request, id="least_request"),
    pytest.param(ewma, id="ewma"),
    pytest.param(RoundRobin, id="round_robin"),
]
WEIGHTS = st.lists(st.integers(1, 20), min_size=1, max_size=12)


def hashed(seats: Sequence[Chair], bound: float = 1.5) -> Hashed[Chair]:
    return Hashed(seats, bound, lambda: sum(seat.asked for seat in seats))


# -- fairness ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", SAMPLED)
def test_traffic_is_shared_by_weight(make: Make) -> None:
    seats = chairs(1, 2, 5)
    picked = counted(make(seats, seeded().random), 8000)
    for seat in seats:
        assert picked[seat.name] == pytest.approx(1000 * seat.weight, rel=0.15)


@settings(deadline=None, max_examples=40)
@given(weights=WEIGHTS, seed=st.integers(0, 2**32))
def test_turns_are_exact_over_a_round_and_evenly_spread(weights: list[int], seed: int) -> None:
    seats = chairs(*weights)
    choice = RoundRobin(seats, seeded(seed).random)
    total = sum(weights)
    for _ in range(3):
        assert counted(choice, total) == {seat.name: seat.weight for seat in seats}


@settings(deadline=None, max_examples=40)
@given(weights=WEIGHTS, seed=st.integers(0, 2**32))
def test_nobody_waits_for_his_turn_longer_than_his_weight_says(
    weights: list[int], seed: int
) -> None:
    seats = chairs(*weights)
    choice = RoundRobin(seats, seeded(seed).random)
    total = sum(weights)
    order = [choice.pick(b"").name for _ in range(2 * total)]
    for seat in seats:
        places = [index for index, name in enumerate(order) if name == seat.name]
        gaps = [after - before for before, after in pairwise(places)]
        # Between two turns of one, each other has at most its share, and one more.
        assert all(gap <= total / seat.weight + len(seats) for gap in gaps)


def test_tunnels_are_spread_by_weight_whatever_requests_there_are() -> None:
    light, heavy = chairs(1, 3)
    heavy.load = 1000
    choice = fewest_tunnels([light, heavy], seeded().random)
    for _ in range(400):
        choice.pick(b"").tunnels += 1
    assert light.tunnels == pytest.approx(100, abs=2)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), count=st.integers(2, 40))
def test_the_less_busy_of_two_keeps_loads_even(seed: int, count: int) -> None:
    seats = chairs(*[1] * count)
    choice = least_request(seats, seeded(seed).random)
    for _ in range(20 * count):
        choice.pick(b"").load += 1
    loads = [seat.load for seat in seats]
    # By lot alone the gap would be several times as wide (Mitzenmacher's log log n).
    assert max(loads) - min(loads) <= 12


def test_a_stuck_endpoint_gets_nothing_while_others_are_idle() -> None:
    seats = chairs(1, 1, 1)
    seats[0].load = 50
    picked = counted(least_request(seats, seeded().random), 3000)
    assert picked["a"] == 0


def test_a_slow_endpoint_gets_nothing_while_another_is_faster() -> None:
    seats = chairs(1, 1)
    seats[1].seconds = 0.5
    assert counted(ewma(seats, seeded().random), 500) == {"a": 500}


def test_an_endpoint_of_which_nothing_is_known_is_asked_once_and_not_flooded() -> None:
    known, fresh = chairs(1, 1)
    fresh.seconds = 0.0
    choice = ewma([known, fresh], seeded().random)
    assert choice.pick(b"") is fresh
    fresh.load = 1
    assert counted(choice, 100) == {"a": 100}


def test_a_fast_endpoint_with_a_queue_gives_way() -> None:
    fast, slow = chairs(1, 1)
    fast.seconds, fast.load = 0.01, 99
    slow.seconds = 0.5
    assert counted(ewma([fast, slow], seeded().random), 100) == {"b": 100}


@pytest.mark.parametrize("make", SAMPLED)
def test_a_new_endpoint_gets_the_part_of_its_share_that_counts(make: Make) -> None:
    seats = chairs(1, 1, 1, 1)

    def ramp(seat: Chair) -> float:
        return 0.25 if seat.name == "a" else 1.0

    picked = counted(make(seats, seeded().random, ramp), 13_000)
    assert 0 < picked["a"] <= 1.15 * picked["b"] / 2
    assert picked["c"] == pytest.approx(picked["b"], rel=0.15)


# -- another one -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [*SAMPLED, pytest.param(lambda seats, _: hashed(seats), id="hash")]
)
def test_one_that_is_skipped_is_not_picked_and_none_is_left_when_all_are(make: Make) -> None:
    seats = chairs(1, 1, 1)
    choice = make(seats, seeded().random)
    for key in range(50):
        seat = choice.another(b"%d" % key, lambda seat: seat.name != "c")
        assert seat is seats[2]
    assert choice.another(b"", lambda seat: True) is None


@pytest.mark.parametrize(
    "make", [*SAMPLED, pytest.param(lambda seats, _: hashed(seats), id="hash")]
)
def test_a_single_endpoint_is_always_picked(make: Make) -> None:
    seats = chairs(3)
    assert counted(make(seats, seeded().random), 20) == {"a": 20}


# -- hashing ---------------------------------------------------------------------------------------


KEYS = [b"key-%d" % number for number in range(600)]


def owners(seats: Sequence[Chair]) -> dict[bytes, str]:
    choice = hashed(seats)
    return {key: choice.pick(key).name for key in KEYS}


@settings(deadline=None, max_examples=40)
@given(count=st.integers(2, 30), gone=st.integers(0, 29))
def test_only_the_keys_of_an_endpoint_that_left_move(count: int, gone: int) -> None:
    seats = chairs(*[1] * count)
    lost = seats[gone % count]
    before = owners(seats)
    after = owners([seat for seat in seats if seat is not lost])
    assert {key for key in KEYS if before[key] != after[key]} == {
        key for key in KEYS if before[key] == lost.name
    }


@settings(deadline=None, max_examples=40)
@given(order=st.permutations(range(10)))
def test_the_order_of_the_endpoints_does_not_matter(order: list[int]) -> None:
    seats = chairs(*[1] * 10)
    assert owners([seats[index] for index in order]) == owners(seats)


@pytest.mark.parametrize("weights", [(1,) * 10, (1, 1, 1, 5), (1,) * 200])
def test_keys_are_spread_by_weight(weights: tuple[int, ...]) -> None:
    seats = chairs(*weights)
    picked = Counter(owners(seats).values())
    for seat in seats:
        fair = len(KEYS) * seat.weight / sum(weights)
        assert picked[seat.name] <= 1.6 * fair + 12


@settings(deadline=None, max_examples=40)
@given(
    bound=st.floats(1.05, 3.0),
    keys=st.lists(st.integers(0, 5), min_size=200, max_size=400),
    count=st.integers(2, 12),
)
def test_no_endpoint_is_asked_more_than_its_bound(
    bound: float, keys: list[int], count: int
) -> None:
    seats = chairs(*[1] * count)
    choice = hashed(seats, bound)
    for total, key in enumerate(keys, start=1):
        seat = choice.pick(b"%d" % key)
        seat.asked += 1
        assert seat.asked <= max(bound * total / count + 1, 8)


def test_a_key_that_overflows_goes_on_to_the_same_next_endpoint() -> None:
    seats = chairs(*[1] * 8)
    choice = hashed(seats)
    first = choice.pick(b"hot")
    first.asked = 1000
    assert len({choice.pick(b"hot").name for _ in range(50)}) == 1
    assert choice.pick(b"hot") is not first


# -- cost ------------------------------------------------------------------------------------------


class Counting(Chair):
    """A seat that counts how often it is looked at."""

    looks = 0

    @property
    def load(self) -> int:
        Counting.looks += 1
        return 0

    @load.setter
    def load(self, value: int) -> None:
        return None


@pytest.mark.parametrize("count", [10, 1000])
def test_the_cost_of_a_choice_does_not_grow_with_the_endpoints(count: int) -> None:
    seats = [Counting(f"e{number}") for number in range(count)]
    choice = least_request(seats, seeded().random)
    Counting.looks = 0
    for _ in range(100):
        choice.pick(b"")
    assert Counting.looks == 200


ALL: list[Any] = [*SAMPLED, pytest.param(lambda seats, _: Hashed(seats, 1.5, int), id="hash")]


@pytest.mark.parametrize("make", ALL)
def test_no_choice_takes_much_longer_among_a_thousand_than_among_ten(make: Make) -> None:
    def seconds(count: int) -> float:
        choice = make(chairs(*(1 + number % 3 for number in range(count))), seeded().random)
        least = float("inf")
        for _ in range(5):
            began = time.thread_time()
            for number in range(300):
                choice.pick(b"%d" % number)
            least = min(least, time.thread_time() - began)
        return least

    # A look at each would take a hundred times as long.
    assert seconds(1000) < 10 * seconds(10)


@pytest.mark.parametrize("make", ALL)
def test_looking_for_another_is_bounded(make: Make) -> None:
    looked = 0

    def skip(_: Chair) -> bool:
        nonlocal looked
        looked += 1
        return True

    assert make(chairs(*[1] * 1000), seeded().random).another(b"", skip) is None
    assert looked <= 24
