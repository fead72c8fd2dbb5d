"""Which objects stay: bounds, order of leaving, and hit ratios beside LRU and the optimum."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.store.s3fifo import S3Fifo
from tests.benchmarks.eviction import (
    Thing,
    by_foresight,
    by_lru,
    by_s3fifo,
    scanned,
    visit,
    zipf,
)


def filled(limit: int, *keys: str) -> S3Fifo[Thing]:
    """A queue with things of these keys."""
    queue: S3Fifo[Thing] = S3Fifo(limit, lambda _: None)
    for key in keys:
        queue.put(Thing(key))
    return queue


def test_what_nobody_asks_for_leaves_first() -> None:
    gone: list[str] = []
    queue: S3Fifo[Thing] = S3Fifo(10, lambda thing: gone.append(thing.key))
    for number in range(10):
        queue.put(Thing(str(number)))
    for key in ("0", "1"):
        visit(queue, key)
        visit(queue, key)
    for number in range(10, 18):
        queue.put(Thing(str(number)))
    assert gone == [str(number) for number in range(2, 10)]
    assert {thing.key for thing in queue.values()} >= {"0", "1"}


def test_one_visit_is_no_merit() -> None:
    queue = filled(2, "a", "b")
    visit(queue, "a")
    queue.put(Thing("c"))
    assert queue.find("a") is None


def test_what_comes_back_soon_is_let_in_at_once() -> None:
    queue = filled(10, *map(str, range(10)))
    queue.put(Thing("x"))
    assert "0" not in queue
    queue.put(Thing("0"))
    for number in range(100, 120):
        queue.put(Thing(str(number)))
    assert "0" in queue


def test_a_scan_takes_nothing_along() -> None:
    queue = filled(100, *map(str, range(50)))
    for _ in range(2):
        for number in range(50):
            visit(queue, str(number))
    for number in range(10_000):
        queue.put(Thing(f"scan{number}"))
    assert all(str(number) in queue for number in range(50))


def test_replacing_keeps_the_place_and_changes_the_weight() -> None:
    queue = filled(10, "a", "b")
    visit(queue, "a")
    bigger = Thing("a", 5)
    assert queue.put(bigger)
    assert (queue.find("a"), queue.weight, len(queue), bigger.visits) == (bigger, 6, 2, 1)


def test_what_is_too_heavy_is_refused_and_replaces_nothing_with_nothing() -> None:
    queue = filled(10, "a")
    assert not queue.put(Thing("a", 11))
    assert ("a" in queue, queue.weight) == (False, 0)
    assert queue.put(Thing("b", 10))


def test_removing() -> None:
    queue = filled(10, "a", "b")
    removed = queue.remove("a")
    assert removed is not None
    assert (removed.key, queue.weight, len(queue)) == ("a", 1, 1)
    assert queue.remove("a") is None


def test_a_smaller_bound_holds_at_once() -> None:
    queue = filled(10, *map(str, range(10)))
    queue.resize(4)
    assert (queue.weight, len(queue)) == (4, 4)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "visit", "remove", "resize"]), st.integers(0, 30),
                  st.integers(1, 12)),
        max_size=200,
    )
)  # fmt: skip
def test_the_sum_of_weights_is_right_and_within_bounds(
    steps: list[tuple[str, int, int]],
) -> None:
    evicted: list[Thing] = []
    queue: S3Fifo[Thing] = S3Fifo(40, evicted.append)
    for step, number, weight in steps:
        key = str(number)
        if step == "put":
            evicted.clear()
            assert queue.put(Thing(key, weight)) is (key in queue)
            assert all(queue.find(thing.key) is not thing for thing in evicted)
        elif step == "visit":
            visit(queue, key)
        elif step == "remove":
            queue.remove(key)
        else:
            queue.resize(weight * 4)
        assert queue.weight == sum(thing.weight for thing in queue.values()) <= queue.limit
        assert len(queue) == len({thing.key for thing in queue.values()})


# -- hit ratios -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, 500])
@pytest.mark.parametrize("scan", [False, True])
def test_it_keeps_more_of_use_than_lru(size: int, scan: bool, show: Callable[[str], None]) -> None:
    trace = zipf(30_000, 5_000, 0.9, seed=3)
    if scan:
        trace = scanned(trace, 3_000, 1_000)
    ours, lru, best = by_s3fifo(trace, size), by_lru(trace, size), by_foresight(trace, size)
    trouble = " and scans" if scan else ""
    show(
        f"Hits of a cache for {size} of 5,000 keys, Zipf{trouble}: "
        f"S3-FIFO {ours:.3f}, LRU {lru:.3f}, optimum {best:.3f}"
    )
    # How much of what LRU misses and the optimum wouldn't.
    assert (ours - lru) / (best - lru) > 0.3
