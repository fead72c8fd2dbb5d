from __future__ import annotations

from proxy.process.backoff import LONGEST_SECONDS, STEADY_SECONDS, Backoff


def test_the_first_replacement_comes_at_once_and_each_further_one_later() -> None:
    backoff = Backoff()
    assert [backoff.after(0.1) for _ in range(5)] == [0.0, 0.5, 1.0, 2.0, 4.0]


def test_there_is_a_longest_pause() -> None:
    backoff = Backoff()
    pauses = [backoff.after(0.1) for _ in range(5000)]
    assert max(pauses) == pauses[-1] == LONGEST_SECONDS


def test_who_served_long_is_replaced_at_once_again() -> None:
    backoff = Backoff()
    for _ in range(8):
        backoff.after(0.1)
    assert backoff.after(STEADY_SECONDS) == 0.0
    assert backoff.after(0.1) == 0.5
