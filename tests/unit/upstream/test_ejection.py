"""Ejection by what came of an endpoint's requests, state by state, on a paused clock."""

from __future__ import annotations

from proxy.upstream.ejection import Ejection

LIMIT = 3


def ejected(base: float = 10.0, longest: float = 100.0) -> Ejection:
    ejection = Ejection(base, longest)
    assert ejection.eject(1000.0) == base
    return ejection


class TestServing:
    def test_failures_in_a_row_are_too_many_at_the_limit(self) -> None:
        ejection = Ejection(10.0, 100.0)
        assert [ejection.failed(0.0, LIMIT) for _ in range(3)] == [False, False, True]

    def test_a_success_begins_the_row_anew(self) -> None:
        ejection = Ejection(10.0, 100.0)
        for _ in range(5):
            assert not ejection.failed(0.0, LIMIT)
            assert not ejection.failed(0.0, LIMIT)
            ejection.succeeded(0.0)


class TestEjected:
    def test_it_is_out_of_use_until_it_is_released(self) -> None:
        ejection = ejected()
        assert (ejection.state, ejection.usable, ejection.until) == ("ejected", False, 1010.0)
        ejection.release()
        assert ejection.usable

    def test_what_was_on_its_way_does_not_count(self) -> None:
        ejection = ejected()
        assert not any(ejection.failed(1001.0, LIMIT) for _ in range(10))
        ejection.succeeded(1001.0)
        assert ejection.state == "ejected"


class TestReturned:
    def test_one_failure_is_enough(self) -> None:
        ejection = ejected()
        ejection.release()
        assert ejection.failed(1010.0, LIMIT)

    def test_one_success_makes_it_serve_as_before(self) -> None:
        ejection = ejected()
        ejection.release()
        ejection.succeeded(1010.0)
        assert ejection.state == "serving"
        assert not ejection.failed(1010.0, LIMIT)


class TestTimes:
    def test_they_double_up_to_the_longest(self) -> None:
        ejection = Ejection(10.0, 60.0)
        times = []
        for _ in range(5):
            times.append(ejection.eject(0.0))
            ejection.release()
        assert times == [10.0, 20.0, 40.0, 60.0, 60.0]
        assert ejection.count == 5

    def test_calm_forgives_one_doubling_at_a_time(self) -> None:
        ejection = Ejection(10.0, 100.0)
        for _ in range(3):
            ejection.eject(1000.0)
            ejection.release()
        ejection.succeeded(1041.0)
        assert ejection.eject(1041.0) == 80.0, "no calm yet: it ended at 1040"
        ejection.release()
        for moment in (1140.0, 1150.0, 1160.0):
            ejection.succeeded(moment)
        assert ejection.eject(1160.0) == 20.0
