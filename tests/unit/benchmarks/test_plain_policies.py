"""The plain proxy's limit is as exact as Sidegate's."""

from __future__ import annotations

import pytest

from tests.benchmarks import plain_policies
from tests.benchmarks.plain_policies import Limit


def test_so_many_requests_pass_and_the_next_is_told_when_to_come_again() -> None:
    limit = Limit(3, 60)
    assert [limit.take("a", 0.0) for _ in range(3)] == [(0, 2, 20), (0, 1, 40), (0, 0, 60)]
    assert limit.take("a", 5.0) == (15, 0, 55)
    # What was refused didn't count.
    assert limit.take("a", 20.0) == (0, 0, 60)
    assert limit.take("a", 1_000.0) == (0, 2, 20)


def test_clients_have_limits_of_their_own() -> None:
    limit = Limit(1, 60)
    assert limit.take("a", 0.0)[0] == 0
    assert limit.take("a", 0.0)[0] == 60
    assert limit.take("b", 0.0)[0] == 0


def test_clients_that_were_quiet_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_policies, "KEYS_MAX", 2)
    limit = Limit(1, 60)
    for number in range(100):
        limit.take(f"client {number}", number * 61.0)
    assert len(limit._times) <= 2
    limit.take("busy", 6_100.0)
    limit.take("another", 6_101.0)
    assert limit.take("busy", 6_102.0)[0] > 0
