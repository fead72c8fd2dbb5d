"""The store in memory: keys, several quotas at once, and what becomes of too many keys."""

from __future__ import annotations

import pytest

from proxy.errors import Refused
from proxy.limits import OnFailure, Quota, Terms
from proxy.store.memory import QUOTAS_MAX, Memory, MemoryLimiter
from proxy.store.region import Region
from tests.unit.store.workers import Jammed, Workers, admits, quota


def test_keys_do_not_share() -> None:
    limiter = Workers().limiter(quota(1))
    assert admits(limiter, "a")
    assert admits(limiter, "b")
    assert not admits(limiter, "a")


def test_limiters_share_by_identity() -> None:
    workers = Workers()
    assert admits(workers.limiter(quota(1), identity="one"))
    assert not admits(workers.limiter(quota(1), identity="one"))
    assert admits(workers.limiter(quota(1), identity="other"))


def test_a_limiter_is_made_once() -> None:
    workers = Workers()
    assert workers.limiter(quota(1)) is workers.limiter(quota(1))
    assert workers.limiter(quota(1)) is not workers.limiter(quota(2))


def test_keys_of_any_length_and_letter() -> None:
    limiter = Workers().limiter(quota(1))
    for key in ("", "\0", "\ud800", "x" * 10_000, "x" * 10_001):
        assert admits(limiter, key)
        assert not admits(limiter, key)


class TestSeveralQuotas:
    BOTH = (quota(10, 1.0), quota(12, 60.0, algorithm="fixed_window"))

    def test_all_have_to_admit(self) -> None:
        workers = Workers()
        limiter = workers.limiter(*self.BOTH)
        assert sum(admits(limiter) for _ in range(20)) == 10
        workers.wait(1.0)
        assert sum(admits(limiter) for _ in range(20)) == 2

    def test_a_refusal_by_one_takes_nothing_of_the_others(self) -> None:
        workers = Workers()
        limiter = workers.limiter(quota(2, 60.0), quota(10, 60.0, algorithm="sliding_window"))
        for _ in range(50):
            limiter.take("k")
        first, second = limiter.look("k")
        assert (first.remaining, second.remaining) == (0, 8)

    def test_each_tells_of_itself(self) -> None:
        limiter = Workers().limiter(*self.BOTH)
        assert [verdict.remaining for verdict in limiter.take("k", 3)] == [7, 9]

    def test_charges_givings_back_and_resets_reach_all(self) -> None:
        limiter = Workers().limiter(*self.BOTH)
        reading = limiter.take("k", 4)
        limiter.give_back("k", 4, reading)
        assert [verdict.remaining for verdict in limiter.look("k")] == [10, 12]
        limiter.charge("k", 4)
        assert [verdict.remaining for verdict in limiter.look("k")] == [6, 8]
        limiter.reset("k")
        limiter.reset("unknown")
        assert [verdict.remaining for verdict in limiter.look("k")] == [10, 12]

    def test_two_of_the_same_kind_count_apart(self) -> None:
        workers = Workers()
        limiter = workers.limiter(quota(2, 1.0), quota(3, 60.0))
        assert [admits(limiter) for _ in range(3)] == [True, True, False]
        workers.wait(1.0)
        assert [admits(limiter) for _ in range(3)] == [True, False, False]

    @pytest.mark.parametrize("count", [0, QUOTAS_MAX + 1])
    def test_there_are_a_few_at_least_and_at_most(self, count: int) -> None:
        with pytest.raises(ValueError, match="1 to 7"):
            Workers().limiter(*[quota(1)] * count)

    def test_seven_are_counted(self) -> None:
        limiter = Workers().limiter(*[quota(n, 60.0) for n in range(1, QUOTAS_MAX + 1)])
        assert [verdict.remaining for verdict in limiter.take("k")] == list(range(QUOTAS_MAX))


class TestRoom:
    def test_expired_keys_make_room(self) -> None:
        workers = Workers(keys=1000)
        limiter = workers.limiter(quota(1))
        for turn in range(10):
            for number in range(1000):
                assert admits(limiter, f"{turn}/{number}")
            workers.wait(1.5)
        assert workers.stores[0].evicted == 0
        assert workers.region.narrow.live(workers.now) == 0

    def test_there_is_room_for_as_many_as_was_said(self) -> None:
        workers = Workers(keys=20_000)
        limiter = workers.limiter(quota(1, 60.0))
        for number in range(20_000):
            limiter.take(str(number))
        assert workers.stores[0].evicted <= 20
        assert sum(admits(limiter, str(number)) for number in range(20_000)) <= 20

    def test_a_limited_key_survives_a_flood_of_new_ones(self) -> None:
        workers = Workers(keys=100)
        limiter = workers.limiter(quota(5, 300.0))
        for _ in range(5):
            assert admits(limiter, "abuser")
        for number in range(5000):
            limiter.take(str(number))
        assert workers.stores[0].evicted > 4000
        assert not admits(limiter, "abuser")

    def test_memory_is_bounded(self) -> None:
        workers = Workers(keys=1000)
        assert len(workers.region.narrow.memory) < 1000 * 400
        limiter = workers.limiter(quota(5, 300.0))
        for number in range(20_000):
            limiter.take(str(number))
        assert workers.region.narrow.live(workers.now) <= 1000 / 40 * 64

    def test_there_is_room_for_one_key_at_least(self) -> None:
        with pytest.raises(ValueError, match="one key"):
            Region.private(bytes(16), 0)


class TestStuckLocks:
    """What a limiter does when another process holds the lock and doesn't let go."""

    def limiter(self, on_failure: OnFailure, *quotas: Quota) -> tuple[MemoryLimiter, list[int]]:
        workers = Workers()
        workers.region.locks = Jammed()  # type: ignore[assignment]
        failures: list[int] = []
        store = Memory(
            workers.region,
            lambda: workers.now,
            lambda: workers.wall,
            failed=lambda: failures.append(1),
        )
        return store.limiter("test", quotas or (quota(2, 60.0),), Terms(on_failure)), failures

    def test_local_counts_in_this_worker(self) -> None:
        limiter, failures = self.limiter("local")
        verdicts = [limiter.take("k")[0] for _ in range(3)]
        assert [verdict.allowed for verdict in verdicts] == [True, True, False]
        assert {verdict.source for verdict in verdicts} == {"local"}
        assert len(failures) == 3

    def test_local_takes_charges_and_givings_back(self) -> None:
        limiter, _ = self.limiter("local")
        limiter.give_back("k", 1, limiter.take("k"))
        assert limiter.look("k")[0].remaining == 2
        limiter.charge("k", 2)
        assert limiter.look("k")[0].remaining == 0

    def test_open_admits_and_tells_nothing(self) -> None:
        limiter, _ = self.limiter("open")
        assert [limiter.take("k") for _ in range(3)] == [()] * 3
        assert limiter.look("k") == ()
        limiter.charge("k", 5)
        limiter.give_back("k", 1, ())

    def test_closed_refuses(self) -> None:
        limiter, _ = self.limiter("closed")
        for ask in (limiter.take, limiter.look):
            with pytest.raises(Refused) as raised:
                ask("k")
            assert (raised.value.status, raised.value.code) == (503, "limit_unavailable")
            assert raised.value.headers == (("Retry-After", "1"),)
        limiter.charge("k", 5)

    def test_a_reset_that_can_t_be_done_says_so(self) -> None:
        limiter, _ = self.limiter("local")
        with pytest.raises(Refused):
            limiter.reset("k")
