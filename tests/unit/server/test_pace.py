"""The pace of a body: no long pause, and no drip."""

from __future__ import annotations

from proxy.server.pace import Pace

NOW = 1000.0


def test_a_body_may_pause_so_long() -> None:
    pace = Pace(NOW, 30.0, 100)
    assert pace.due(NOW, 10_000) == NOW + 30.0
    assert pace.due(NOW + 50.0, 1_000_000) == NOW + 80.0


def test_one_that_drips_is_late_however_short_its_pauses() -> None:
    pace = Pace(NOW, 30.0, 100)
    now = NOW
    received = 0
    while pace.due(now, received) > now:
        now += 1.0
        received += 10
        assert now < NOW + 40.0
    assert now >= NOW + 30.0


def test_one_that_keeps_the_rate_goes_on() -> None:
    pace = Pace(NOW, 30.0, 100)
    for second in range(1, 3600):
        assert pace.due(NOW + second, 100 * second) > NOW + second


def test_without_a_rate_only_pauses_count() -> None:
    pace = Pace(NOW, 30.0, 0)
    assert pace.due(NOW + 9999.0, 1) == NOW + 10_029.0


def test_time_that_the_proxy_kept_it_waiting_is_not_counted() -> None:
    pace = Pace(NOW, 30.0, 100)
    pace.hold(NOW + 1.0)
    pace.go_on(NOW + 601.0)
    assert pace.due(NOW + 601.0, 100) == NOW + 631.0
    pace.go_on(NOW + 602.0)
    assert pace.due(NOW + 620.0, 100) == NOW + 631.0
