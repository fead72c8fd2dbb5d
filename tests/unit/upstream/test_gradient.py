"""The adaptive limit against services of paper, on a clock that is told."""

from __future__ import annotations

import pytest

from proxy.upstream.gradient import Gradient


class Service:
    """Answers in `usual` seconds as long as no more than `capacity` ask at once; beyond that they
    wait for each other."""

    def __init__(self, capacity: int, usual: float = 0.05) -> None:
        self.capacity = capacity
        self.usual = usual
        self.now = 1000.0

    def load(self, gradient: Gradient, seconds: float, under_way: int | None = None) -> None:
        """As many requests as the limit allows, or fewer, for so long."""
        end = self.now + seconds
        while self.now < end:
            asked = min(gradient.limit, under_way or gradient.limit)
            took = self.usual * max(1.0, asked / self.capacity)
            self.now += took
            for _ in range(asked):
                gradient.answered(self.now, took, asked)


@pytest.mark.parametrize("capacity", [8, 40, 200])
def test_it_finds_what_the_service_takes(capacity: int) -> None:
    gradient, service = Gradient(20, 4, 1000, 1.5), Service(capacity)
    limits = []
    for _ in range(300):
        service.load(gradient, 1.0)
        limits.append(gradient.limit)
    assert 0.8 * capacity <= limits[60] <= 2.5 * capacity
    assert max(limits[5:]) <= 2.5 * capacity
    assert sum(limit > 4 for limit in limits) > 0.9 * len(limits), "measured for moments only"


def test_it_follows_a_service_that_becomes_slower_and_recovers() -> None:
    gradient, service = Gradient(20, 4, 1000, 1.5), Service(100)
    service.load(gradient, 60.0)
    service.capacity = 20
    service.load(gradient, 10.0)
    assert gradient.limit < 60
    service.capacity = 100
    service.load(gradient, 20.0)
    assert gradient.limit > 80


def test_a_service_that_is_slower_for_good_gets_its_limit_again() -> None:
    gradient, service = Gradient(20, 4, 1000, 1.5), Service(100)
    service.load(gradient, 60.0)
    service.usual *= 5
    limits = []
    for _ in range(120):
        service.load(gradient, 1.0)
        limits.append(gradient.limit)
    assert max(limits[-30:]) > 60


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    gradient, service = Gradient(50, 4, 1000, 1.5), Service(1000)
    service.load(gradient, 30.0, under_way=5)
    assert gradient.limit == 50


def test_failures_shrink_it_down_to_the_least() -> None:
    gradient = Gradient(100, 4, 1000, 1.5)
    now = 1000.0
    for _ in range(2000):
        now += 0.01
        gradient.failed(now, 100)
    assert gradient.limit == 4


def test_a_few_failures_among_many_answers_are_nothing() -> None:
    gradient = Gradient(20, 4, 1000, 1.5)
    now = 1000.0
    for number in range(3000):
        now += 0.01
        if number % 20:
            gradient.answered(now, 0.05, 20)
        else:
            gradient.failed(now, 20)
    assert gradient.limit > 20


def test_it_stays_within_its_bounds() -> None:
    gradient, service = Gradient(20, 4, 30, 1.5), Service(1000)
    service.load(gradient, 60.0)
    assert gradient.limit == 30
