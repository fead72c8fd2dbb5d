"""The circuit breaker, state by state, on a paused clock."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.protection import Breaker as Options
from proxy.upstream.breaker import Breaker, Window

NOW = 1000.0


def breaker(**options: Any) -> Breaker:
    settings = {"volume": 10, "rest": "5s", "longest": "40s", "probes": 2, **options}
    return Breaker(Options.model_validate(settings))


def play(target: Breaker, outcomes: str, now: float = NOW) -> str:
    """Outcomes of requests one after another: `+` good, `-` bad. What became of each: `.` for
    one that passed, `x` for one that didn't."""
    told = ""
    for outcome in outcomes:
        ticket = target.admit(now)
        told += "." if ticket else "x"
        if ticket and outcome == "+":
            target.succeeded(ticket, now)
        elif ticket:
            target.failed(ticket, now)
    return told


def opened(**options: Any) -> Breaker:
    target = breaker(consecutive=1, **options)
    play(target, "-")
    assert state_of(target) == "open"
    return target


def state_of(target: Breaker) -> str:
    """Its state now, which the last assertion says nothing about."""
    return target.state


class TestClosed:
    def test_all_pass(self) -> None:
        target = breaker()
        assert play(target, "+" * 50) == "." * 50
        assert state_of(target) == "closed"

    @pytest.mark.parametrize(
        ("outcomes", "state"),
        [
            ("-" * 9, "closed"),
            ("-" * 10, "open"),
            ("+-" * 5, "open"),
            ("++-" * 10, "closed"),
            ("+" * 30 + "-" * 29, "closed"),
            ("+" * 30 + "-" * 30, "open"),
        ],
    )
    def test_the_rate_opens_it_once_there_is_volume(self, outcomes: str, state: str) -> None:
        target = breaker()
        play(target, outcomes)
        assert state_of(target) == state

    def test_failures_in_a_row_open_it_where_that_is_asked_for(self) -> None:
        target = breaker(failure_rate=None, consecutive=3)
        play(target, "--+--+--")
        assert state_of(target) == "closed"
        play(target, "-")
        assert state_of(target) == "open"

    def test_what_is_older_than_the_window_counts_no_more(self) -> None:
        target = breaker()
        play(target, "-" * 9)
        play(target, "-", NOW + 10.0)
        assert state_of(target) == "closed"

    def test_a_request_that_tells_nothing_changes_nothing(self) -> None:
        target = breaker(consecutive=2)
        play(target, "-")
        target.dropped(target.admit(NOW))
        play(target, "-")
        assert state_of(target) == "open"


class TestOpen:
    def test_none_passes_until_the_rest_is_over(self) -> None:
        target = opened()
        assert play(target, "+++") == "xxx"
        assert not target.would_admit(NOW + 4.9)
        assert target.wait(NOW + 1.0) == 4.0
        assert play(target, "+", NOW + 4.9) == "x"
        assert target.would_admit(NOW + 5.0)
        assert play(target, "+", NOW + 5.0) == "."
        assert state_of(target) == "half_open"

    def test_answers_to_earlier_requests_count_for_nothing(self) -> None:
        target = breaker(consecutive=1)
        early = [target.admit(NOW) for _ in range(3)]
        target.failed(early[0], NOW)
        target.succeeded(early[1], NOW + 1)
        target.failed(early[2], NOW + 1)
        assert (target.state, target.until, target.opened) == ("open", NOW + 5.0, 1)

    def test_a_service_that_asks_for_patience_gets_it_within_bounds(self) -> None:
        for patience, until in ((0.0, 5.0), (2.0, 5.0), (20.0, 20.0), (9999.0, 40.0)):
            target = breaker(consecutive=1)
            target.failed(target.admit(NOW), NOW, patience)
            assert target.until == NOW + until


class TestHalfOpen:
    def test_no_more_pass_than_are_needed_to_decide(self) -> None:
        target = opened()
        tickets = [target.admit(NOW + 5) for _ in range(5)]
        assert [bool(ticket) for ticket in tickets] == [True, True, False, False, False]
        assert not target.would_admit(NOW + 5)
        target.succeeded(tickets[0], NOW + 5)
        assert not target.would_admit(NOW + 5), "one that went well and one under way"
        target.dropped(tickets[1])
        assert target.would_admit(NOW + 5)

    def test_when_all_probes_go_well_it_closes(self) -> None:
        target = opened()
        assert play(target, "+", NOW + 5) == "."
        assert state_of(target) == "half_open"
        assert play(target, "+", NOW + 5) == "."
        assert state_of(target) == "closed"
        assert play(target, "+++", NOW + 5) == "..."

    def test_one_that_fails_opens_it_for_twice_as_long(self) -> None:
        target = opened()
        rests = []
        now = NOW
        for _ in range(5):
            now = target.until
            play(target, "-", now)
            rests.append(target.until - now)
        assert rests == [10.0, 20.0, 40.0, 40.0, 40.0]
        play(target, "++", target.until)
        play(target, "-", now + 100)
        assert target.until == now + 105, "once it was closed the rest begins anew"

    def test_a_probe_that_tells_nothing_makes_room_for_another(self) -> None:
        target = opened(probes=1)
        ticket = target.admit(NOW + 5)
        assert not target.admit(NOW + 5)
        target.dropped(ticket)
        assert play(target, "+", NOW + 5) == "."
        assert state_of(target) == "closed"

    def test_a_late_probe_of_an_earlier_try_counts_for_nothing(self) -> None:
        target = opened()
        late = target.admit(NOW + 5)
        play(target, "-", NOW + 5)
        target.succeeded(late, NOW + 6)
        assert state_of(target) == "open"


@settings(deadline=None)
@given(outcomes=st.text("+-", max_size=200))
def test_after_a_rest_good_probes_always_close_it(outcomes: str) -> None:
    target = breaker()
    play(target, outcomes)
    now = max(NOW, target.until) + 1
    play(target, "++", now)
    assert state_of(target) == "closed"


def test_the_window_slides_by_tenths() -> None:
    window = Window(10.0)
    for second in range(10):
        window.count(good=second % 2 == 0, now=1000.0 + second)
    assert window.totals(1009.0) == (10, 5)
    assert window.totals(1010.0) == (9, 5)
    assert window.totals(1018.5) == (1, 1)
    assert window.totals(5000.0) == (0, 0)
