"""The budget: retries stay a share of the traffic, whatever fails."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policies.retry.budget import WINDOW, Budget


def test_a_quiet_service_has_the_least() -> None:
    budget = Budget(0.2, 3)
    assert [budget.take(100.0) for _ in range(31)] == [True] * 30 + [False]
    assert budget.refused == 1


def test_traffic_adds_its_share() -> None:
    budget = Budget(0.2, 0)
    assert not budget.take(100.0)
    for _ in range(10):
        budget.request(100.0)
    assert [budget.take(100.0) for _ in range(3)] == [True, True, False]


def test_what_has_passed_out_of_the_window_counts_no_more() -> None:
    budget = Budget(0.5, 0)
    for _ in range(4):
        budget.request(100.0)
    assert budget.left(100.0 + WINDOW - 0.1) == 2
    assert budget.left(100.0 + WINDOW) == 0


def test_retries_come_back_when_they_are_old() -> None:
    budget = Budget(0, 0.1)
    assert budget.take(100.9)
    assert not budget.take(109.9)
    assert budget.take(110.0)


def test_a_long_silence_forgets_everything() -> None:
    budget = Budget(1, 0)
    budget.request(100.0)
    assert budget.left(100.0 + 1000 * WINDOW) == 0


def test_a_clock_that_stands_still_or_begins_late_does_no_harm() -> None:
    budget = Budget(0, 1)
    assert budget.take(1e6)
    assert budget.left(1e6) == WINDOW - 1


@settings(deadline=None)
@given(
    share=st.floats(0, 1),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 30)), min_size=1, max_size=60),
)
def test_retries_stay_within_their_share(share: float, steps: list[tuple[float, int]]) -> None:
    budget = Budget(share, 0)
    now = 1000.0
    asked = retried = 0
    for wait, count in steps:
        now += wait
        for _ in range(count):
            asked += 1
            budget.request(now)
            retried += budget.take(now)
    # A retry was within the share of a window when it was made, so all are of all windows.
    assert retried <= share * asked * 2
    if now - 1000.0 < WINDOW - 1:
        assert retried <= share * asked
