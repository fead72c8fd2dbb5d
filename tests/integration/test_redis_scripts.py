"""The scripts in Redis count as the store in memory does, whatever the time and the order.

Redis runs them; only its clock is replaced, so that both see the same time.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.limits import Algorithm, Quota, Reading
from proxy.store.redis.connection import pack
from proxy.store.redis.scripts import Script, describe, read_answer
from tests.integration.redis import redis_server
from tests.unit.store.workers import Workers, quota

CLOCK = "local clock = redis.call('TIME')"
PAUSED = "local clock = {ARGV[#ARGV - 1], ARGV[#ARGV]}"


class Server:
    """A connection that waits for each answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._reader = hiredis.Reader()

    def call(self, *words: str | int | bytes) -> Any:
        self._socket.sendall(pack(*words))
        while (answer := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(65536))
        if isinstance(answer, hiredis.ReplyError):
            raise answer
        return answer

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with redis_server(tmp_path_factory.mktemp("scripts")) as redis:
        server = Server(redis.port)
        yield server
        server.close()


class Counter:
    """A limit in Redis, on the clock of some workers."""

    def __init__(self, server: Server, workers: Workers, *quotas: Quota) -> None:
        server.call("FLUSHALL")
        self._server = server
        self._workers = workers
        self._quotas = quotas
        self._text = Script([rule.algorithm for rule in quotas]).text.replace(CLOCK, PAUSED)
        assert PAUSED in self._text
        self._keys = [f"k{number}" for number in range(len(quotas))]

    def run(
        self, deed: str, cost: int, more: int = 0, worker: str = "w0", times: Reading = ()
    ) -> Any:
        words: list[str | int | bytes] = [deed, cost, more, worker]
        for index, rule in enumerate(self._quotas):
            words += [*describe(rule), int(times[index].at) if times else 0]
        now = round(self._workers.wall * 1e6)
        return self._server.call(
            "EVAL", self._text, len(self._keys), *self._keys, *words,
            now // 1_000_000, now % 1_000_000,
        )  # fmt: skip

    def ask(self, deed: str, cost: int, worker: str = "w0") -> Reading:
        return read_answer(self.run(deed, cost, worker=worker))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "look", "charge", "give"]),
        st.integers(0, 4000),
        st.integers(1, 4),
    ),
    min_size=1,
    max_size=40,
)
"""What is asked, after how many milliseconds, at what cost."""


def alike(ours: Reading, theirs: Reading) -> bool:
    """Whether two readings say the same, to the precision of a microsecond."""
    return all(
        mine.allowed == other.allowed
        and mine.remaining == other.remaining
        and mine.retry_after == pytest.approx(other.retry_after, abs=1e-5)
        and mine.reset_after == pytest.approx(other.reset_after, abs=1e-5)
        for mine, other in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("algorithm", ["gcra", "sliding_window", "fixed_window"])
@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(1, 12), period=st.sampled_from([1, 16, 60, 3600]), steps=STEPS,
    burst=st.integers(1, 12),
)  # fmt: skip
def test_redis_counts_as_memory_does(
    server: Server,
    algorithm: Algorithm,
    limit: int,
    period: int,
    burst: int,
    steps: list[tuple[str, int, int]],
) -> None:
    workers = Workers()
    # Whole microseconds, as Redis has them; parts of windows are whole in both.
    rule = quota(limit, float(period), burst if algorithm == "gcra" else limit, algorithm)
    counter = Counter(server, workers, rule)
    limiter = workers.limiter(rule)
    taken: list[tuple[int, Reading, Reading]] = []
    for deed, wait, cost in steps:
        workers.wait(wait / 1000)
        if deed == "give":
            if taken:
                amount, ours, theirs = taken.pop()
                limiter.give_back("k", amount, ours)
                counter.run("give", amount, times=theirs)
        elif deed == "charge":
            limiter.charge("k", cost)
            counter.run("charge", cost)
        else:
            ours = limiter.take("k", cost) if deed == "take" else limiter.look("k", cost)
            theirs = counter.ask(deed, cost)
            assert alike(ours, theirs), (deed, cost)
            if deed == "take" and ours[0].allowed:
                taken.append((cost, ours, theirs))
    assert alike(limiter.look("k"), counter.ask("look", 1))


@settings(max_examples=40, deadline=None)
@given(
    limit=st.integers(1, 6),
    steps=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 5)), max_size=50),
)
def test_places_in_flight_are_counted_as_in_memory(
    server: Server, limit: int, steps: list[tuple[int, bool, int]]
) -> None:
    workers = Workers(4)
    rule = quota(limit, 0.0, algorithm="concurrency")
    counter = Counter(server, workers, rule)
    limiters = workers.limiters(rule)
    held = [0, 0, 0, 0]
    for worker, begins, wait in steps:
        workers.wait(wait / 10)
        if begins:
            ours = limiters[worker].take("k")
            assert alike(ours, counter.ask("take", 1, f"w{worker}"))
            held[worker] += ours[0].allowed
        elif held[worker]:
            held[worker] -= 1
            limiters[worker].give_back("k", 1, limiters[worker].look("k"))
            counter.run("give", 1, worker=f"w{worker}")


def test_places_of_a_worker_that_is_gone_come_back(server: Server) -> None:
    workers = Workers()
    counter = Counter(server, workers, quota(3, 0.0, algorithm="concurrency"))
    for worker in ("w0", "w1", "w1"):
        assert counter.ask("take", 1, worker)[0].allowed
    workers.wait(20)
    counter.run("hold", 1, worker="w0")
    workers.wait(15)
    assert counter.ask("look", 1)[0].remaining == 2, "w0 has said that it is there"
    counter.run("hold", 0, worker="w0")
    assert counter.ask("look", 1)[0].remaining == 3


@pytest.mark.parametrize("algorithm", ["gcra", "sliding_window", "fixed_window"])
def test_several_quotas_are_taken_together_or_not_at_all(
    server: Server, algorithm: Algorithm
) -> None:
    workers = Workers()
    counter = Counter(
        server, workers, quota(10, 60.0, algorithm=algorithm), quota(4, 3600.0, algorithm="gcra")
    )
    for _ in range(10):
        counter.ask("take", 1)
    first, second = counter.ask("look", 1)
    assert (first.remaining, second.remaining) == (6, 0)
    assert not second.allowed


@pytest.mark.parametrize("algorithm", ["gcra", "sliding_window", "fixed_window"])
def test_a_lease_takes_as_much_as_there_is(server: Server, algorithm: Algorithm) -> None:
    workers = Workers()
    counter = Counter(server, workers, quota(10, 60.0, algorithm=algorithm))
    assert counter.run("lease", 2, 5)[1] == 7
    assert counter.run("lease", 2, 5)[1] == 3
    answer = counter.run("lease", 1, 5)
    assert answer[1] == 0
    assert not read_answer(answer)[0].allowed
    assert counter.ask("look", 1)[0].remaining == 0


@pytest.mark.parametrize("algorithm", ["gcra", "sliding_window", "fixed_window"])
@pytest.mark.parametrize("ahead", [0.4, 1e7])
def test_a_clock_that_was_ahead_neither_opens_nor_locks(
    server: Server, algorithm: Algorithm, ahead: float
) -> None:
    workers = Workers()
    counter = Counter(server, workers, quota(2, 10.0, algorithm=algorithm))
    workers.wait(ahead)
    assert counter.ask("take", 1)[0].allowed
    workers.wait(-ahead)
    admitted = sum(counter.ask("take", 1)[0].allowed for _ in range(5))
    assert 1 <= admitted <= 2
    workers.wait(25.0)
    assert counter.ask("take", 1)[0].allowed


def test_what_has_expired_is_left_to_redis_to_forget(server: Server) -> None:
    workers = Workers()
    for algorithm, period in (("gcra", 60.0), ("fixed_window", 60.0), ("sliding_window", 60.0)):
        counter = Counter(server, workers, quota(5, period, algorithm=algorithm))  # type: ignore[arg-type]
        counter.ask("take", 1)
        assert 0 < server.call("PTTL", "k0") <= 64_000


def test_an_allowance_that_takes_ages_to_be_full_is_counted_as_well(server: Server) -> None:
    workers = Workers()
    counter = Counter(server, workers, quota(1, 86400.0, 10**15))
    for _ in range(2):
        assert counter.ask("charge", 10**9)[0].allowed
    assert counter.ask("look", 1)[0].remaining == 10**15 - 2 * 10**9
