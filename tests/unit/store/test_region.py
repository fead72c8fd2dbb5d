"""The memory of limits: laid out once, whoever comes first, and cleared of dead workers."""

from __future__ import annotations

from mmap import mmap

import pytest

from proxy.store.memory import Memory
from proxy.store.region import Region, size_of
from tests.unit.store.workers import admits, quota

KEYS = 500


def wall() -> float:
    return 0.0


def store(memory: mmap, worker: int, secret: bytes = bytes(16)) -> Memory:
    region = Region.shared(memory, KEYS, 3, worker=worker, secret=secret, wall=wall)
    return Memory(region, lambda: 10.0, wall, worker)


def test_workers_share_what_the_first_one_laid_out() -> None:
    memory = mmap(-1, size_of(KEYS, 3))
    first, second = store(memory, 0, b"first".ljust(16)), store(memory, 1, b"second".ljust(16))
    assert second.region.secret == first.region.secret == b"first".ljust(16)
    limiters = [one.limiter("test", [quota(3)]) for one in (first, second)]
    assert [admits(limiters[turn % 2]) for turn in range(4)] == [True, True, True, False]


def test_what_a_worker_had_in_flight_is_forgotten_when_its_successor_begins() -> None:
    memory = mmap(-1, size_of(KEYS, 3))
    stores = [store(memory, number) for number in range(3)]
    limiters = [one.limiter("test", [quota(6, 0.0, algorithm="concurrency")]) for one in stores]
    for limiter in limiters:
        for key in ("a", "b"):
            assert admits(limiter, key)
            assert admits(limiter, key)
    assert not admits(limiters[0], "a")
    store(memory, 1)
    for key in ("a", "b"):
        assert limiters[0].look(key)[0].remaining == 2


def test_what_was_counted_outlives_a_worker() -> None:
    memory = mmap(-1, size_of(KEYS, 3))
    limiter = store(memory, 0).limiter("test", [quota(2, 60.0)])
    assert admits(limiter)
    again = store(memory, 0).limiter("test", [quota(2, 60.0)])
    assert [admits(again), admits(again)] == [True, False]


def test_other_memory_is_refused() -> None:
    memory = mmap(-1, size_of(KEYS, 3))
    memory[:5] = b"other"
    with pytest.raises(ValueError, match="no memory of limits"):
        Region.shared(memory, KEYS, 3, worker=0, secret=bytes(16), wall=wall)
