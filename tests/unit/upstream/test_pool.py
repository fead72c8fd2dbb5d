"""The pool with connections of paper on a paused clock: order, limits, and no slot lost."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.config.upstream import Pool as PoolOptions
from proxy.errors import GatewayError, Unsent
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.endpoint import Unreachable
from proxy.upstream.pool import Pool
from tests.unit.paused_loop import PausedLoop, settle


class Paper:
    """A connection as the pool sees it: nothing travels, and it dies when told to."""

    def __init__(self, pool: Pool, number: int, now: float) -> None:
        self._pool = pool
        self.number = number
        self.born = now
        self.idle_since = now
        self.deadline = float("inf")
        self.keep = -1
        self.used = 0
        self.open = True
        # The peer closed it, and only the kernel knows so far.
        self.readable = False
        self.reasons: list[str] = []

    def alive(self, now: float, careful: bool) -> bool:
        return self.open and not (self.readable and (careful or now - self.idle_since > 0.02))

    def close(self, reason: str) -> None:
        """As the real one: it closes, and tells its pool whether or not that asked for it."""
        if self.open:
            self.open = False
            self.reasons.append(reason)
        self._pool.discard(self.real, reason)

    abort = close

    @property
    def real(self) -> UpstreamConnection:
        return cast("UpstreamConnection", self)

    def __repr__(self) -> str:
        return f"<{self.number}>"


class Upstream:
    """An endpoint that accepts at once, unless told otherwise."""

    def __init__(self, loop: PausedLoop, **options: object) -> None:
        self.loop = loop
        self.made: list[Paper] = []
        self.refuses = False
        self.hangs_up = False
        self.slow: asyncio.Event | None = None
        settings: dict[str, object] = {
            "size": 2, "overflow": 1, "acquire_timeout": "2s", "max_lifetime": "30m",
            "max_idle": "60s", **options,
        }  # fmt: skip
        self.pool = Pool(
            "app", "http://app", PoolOptions.model_validate(settings), self._open, loop.time, loop
        )

    async def _open(self, pool: Pool) -> UpstreamConnection:
        connection = Paper(pool, len(self.made), self.loop.time())
        self.made.append(connection)
        try:
            await asyncio.sleep(0)
            if self.slow is not None:
                await self.slow.wait()
        except asyncio.CancelledError:
            connection.open = False
            raise
        if self.refuses:
            connection.open = False
            raise Unreachable("upstream_unreachable")
        if self.hangs_up:
            connection.close("closed_by_upstream")
        return connection.real

    async def get(self, careful: bool = False, fresh: bool = False) -> Paper:
        return cast("Paper", await self.pool.get(careful, fresh))

    def take(self, careful: bool = False) -> Paper | None:
        return cast("Paper | None", self.pool.take(careful, self.loop.time()))

    def asked(self) -> asyncio.Task[Paper]:
        """A request that waits in a task of its own."""
        return self.loop.create_task(self.get())

    async def full(self) -> list[Paper]:
        """Use all there may be."""
        return [await self.get() for _ in range(self.pool.size + self.pool.overflow)]

    def release(self, connection: Paper) -> None:
        self.pool.release(connection.real)

    @property
    def state(self) -> tuple[int, int, int]:
        """In use, idle, waiting."""
        return self.pool.in_use, self.pool.idle, self.pool.waiting


# -- opening and keeping ----------------------------------------------------------------------


def test_connections_are_opened_when_needed_and_used_again(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop)
        assert upstream.take() is None
        first = await upstream.get()
        assert upstream.state == (1, 0, 0)
        upstream.release(first)
        assert upstream.state == (0, 1, 0)
        assert upstream.take() is first
        upstream.release(first)
        assert await upstream.get() is first
        assert (upstream.pool.opened, upstream.pool.closed) == (1, {})

    loop.run(story())


def test_the_one_used_last_is_used_next(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=3)
        connections = [await upstream.get() for _ in range(3)]
        for connection in connections:
            upstream.release(connection)
        assert [upstream.take() for _ in range(3)] == connections[::-1]

    loop.run(story())


def test_overflow_is_opened_in_a_rush_and_closed_after_it(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=2)
        kept, *spare = await upstream.full()
        assert upstream.state == (3, 0, 0)
        for connection in (kept, *spare):
            upstream.release(connection)
        # The rush may go on.
        assert upstream.state == (0, 3, 0)
        assert kept.deadline == loop.now + 60.0
        assert [connection.deadline for connection in spare] == [loop.now + 1.0] * 2
        assert upstream.take() is spare[-1]
        loop.now += 5.0
        upstream.release(spare[-1])
        assert spare[-1].deadline == loop.now + 1.0
        for connection in (*spare, kept):
            connection.close("idle")
        assert upstream.pool.closed == {"overflow": 2, "idle": 1}

    loop.run(story())


def test_a_fresh_connection_is_opened_past_the_idle_ones(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop)
        kept = await upstream.get()
        upstream.release(kept)
        fresh = await upstream.get(fresh=True)
        assert fresh is not kept
        assert upstream.state == (1, 1, 0)

    loop.run(story())


def test_without_room_for_a_fresh_one_an_idle_one_will_do(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        kept = await upstream.get()
        upstream.release(kept)
        assert await upstream.get(fresh=True) is kept

    loop.run(story())


# -- which ones are never picked --------------------------------------------------------------


def test_one_that_the_peer_closed_is_never_picked(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop)
        good, dead = await upstream.get(), await upstream.get()
        upstream.release(good)
        upstream.release(dead)
        dead.readable = True
        assert upstream.take(careful=True) is good
        assert upstream.pool.closed == {"dead": 1}
        assert not dead.open
        assert upstream.state == (1, 0, 0)

    loop.run(story())


def test_one_that_told_of_its_end_is_gone_at_once(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop)
        connection = await upstream.get()
        upstream.release(connection)
        connection.close("closed_by_upstream")
        assert upstream.state == (0, 0, 0)
        assert upstream.pool.closed == {"closed_by_upstream": 1}
        assert upstream.take() is None

    loop.run(story())


def test_an_old_one_is_used_to_the_end_of_its_request_and_no_further(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, max_lifetime="60s")
        idle, busy = await upstream.get(), await upstream.get()
        upstream.release(idle)
        loop.now += 60
        assert upstream.take() is None
        assert busy.open
        upstream.release(busy)
        assert upstream.pool.closed == {"lifetime": 2}
        assert upstream.state == (0, 0, 0)

    loop.run(story())


@pytest.mark.parametrize(("keep", "idle"), [(-1, 60.0), (300, 60.0), (5, 4.0), (1, 0.5), (0, 0.5)])
def test_an_idle_one_goes_before_the_peer_hangs_up(
    keep: int, idle: float, loop: PausedLoop
) -> None:
    async def story() -> None:
        upstream = Upstream(loop)
        connection = await upstream.get()
        connection.keep = keep
        upstream.release(connection)
        assert connection.deadline == loop.now + idle

    loop.run(story())


def test_one_that_closes_as_soon_as_it_is_opened_holds_no_slot(loop: PausedLoop) -> None:
    """Whoever asks it is told; the pool goes on."""

    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        upstream.hangs_up = True
        for _ in range(10):
            assert not (await upstream.get()).open
        assert upstream.state == (0, 0, 0)
        upstream.hangs_up = False
        assert (await upstream.get()).open

    loop.run(story())


# -- waiting ----------------------------------------------------------------------------------


def test_requests_wait_in_order_of_arrival(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        (connection,) = await upstream.full()
        waiting = [upstream.asked() for _ in range(3)]
        await settle()
        assert upstream.state == (1, 0, 3)
        for request in waiting:
            assert not request.done()
            upstream.release(connection)
            assert await request is connection
        assert upstream.pool.opened == 1

    loop.run(story())


def test_a_latecomer_doesn_t_overtake_those_who_wait(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        (connection,) = await upstream.full()
        first = upstream.asked()
        await settle()
        upstream.release(connection)
        assert upstream.take() is None, "it was promised"
        second = upstream.asked()
        await settle()
        assert first.done()
        assert not second.done()
        upstream.release(first.result())
        assert await second is connection

    loop.run(story())


def test_a_closed_connection_makes_room_for_the_next_in_line(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        (connection,) = await upstream.full()
        first, second = upstream.asked(), upstream.asked()
        await settle()
        connection.close("not_persistent")
        opened = await first
        assert opened is not connection
        assert not second.done()
        upstream.release(opened)
        assert await second is opened

    loop.run(story())


def test_waiting_ends_with_503_after_the_timeout(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        (connection,) = await upstream.full()
        began = loop.now
        with pytest.raises(GatewayError) as refusal:
            await upstream.get()
        assert loop.now - began == pytest.approx(2.0)
        assert (refusal.value.status, refusal.value.code) == (503, "pool_exhausted")
        assert dict(refusal.value.headers)["Retry-After"] == "1"
        assert upstream.state == (1, 0, 0)
        upstream.release(connection)
        assert upstream.take() is connection

    loop.run(story())


def test_a_cancelled_request_gives_its_place_up(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        (connection,) = await upstream.full()
        first, second = upstream.asked(), upstream.asked()
        await settle()
        first.cancel()
        await settle()
        assert upstream.pool.waiting == 1
        upstream.release(connection)
        assert await second is connection

    loop.run(story())


@pytest.mark.parametrize("given", ["a connection", "a slot", "a connection that died"])
def test_what_was_given_to_a_request_as_it_was_cancelled_goes_to_the_next(
    given: str, loop: PausedLoop
) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        (connection,) = await upstream.full()
        first, second = upstream.asked(), upstream.asked()
        await settle()
        if given == "a slot":
            connection.close("not_persistent")
        else:
            upstream.release(connection)
        if given == "a connection that died":
            connection.close("closed_by_upstream")
        first.cancel()
        assert (await second).open
        assert upstream.state == (1, 0, 0)

    loop.run(story())


def test_a_connection_that_dies_on_its_way_to_a_request_is_replaced_for_it(
    loop: PausedLoop,
) -> None:
    """The request keeps its turn, and its waiting time isn't counted anew."""

    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        (connection,) = await upstream.full()
        first, second = upstream.asked(), upstream.asked()
        await settle()
        upstream.release(connection)
        connection.open = False
        opened = await first
        assert opened is not connection
        assert opened.open
        assert upstream.pool.closed == {"dead": 1}
        assert not second.done()
        upstream.release(opened)
        assert await second is opened

    loop.run(story())


def test_losing_it_to_another_keeps_the_turn_and_the_time(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        (connection,) = await upstream.full()
        began = loop.now
        first, second, third = upstream.asked(), upstream.asked(), upstream.asked()
        await asyncio.sleep(1.0)
        upstream.release(connection)
        # It tells of its end before the request that it was meant for can run.
        connection.close("closed_by_upstream")
        replacement = await second
        assert not first.done()
        upstream.release(replacement)
        assert await first is replacement
        with pytest.raises(GatewayError, match="pool_exhausted"):
            await third
        assert loop.now - began == pytest.approx(2.0)

    loop.run(story())


def test_those_who_gave_up_don_t_pile_up(loop: PausedLoop) -> None:
    """All connections may be busy for hours with streams."""

    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        await upstream.full()
        for _ in range(20):
            requests = [upstream.asked() for _ in range(50)]
            await settle()
            for request in requests[::2]:
                request.cancel()
            await asyncio.wait(requests)
            assert all(request.cancelled() or request.exception() for request in requests)
            assert upstream.pool.waiting == 0
            assert "deque([])" in repr(vars(upstream.pool)["_waiters"])

    loop.run(story())


# -- tunnels ----------------------------------------------------------------------------------


def test_what_became_a_tunnel_leaves_its_place_to_those_who_wait(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0, tunnels=5)
        for number in range(3):
            with upstream.pool.handshake():
                connection = await upstream.get()
                waiting = upstream.asked()
                await settle()
                upstream.pool.joined(connection.real)
            upstream.release(await waiting)
            (await upstream.get()).close("not_persistent")
            assert upstream.pool.tunnels == number + 1
        assert upstream.state == (0, 0, 0)
        assert upstream.pool.load == 0

    loop.run(story())


def test_tunnels_are_bounded_from_the_moment_that_they_are_asked_for(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, tunnels=2)
        pool = upstream.pool
        with pool.handshake():
            first = await upstream.get()
            pool.joined(first.real)
        with pool.handshake():
            assert not pool.tunnel_available
            with pytest.raises(Unsent) as refusal, pool.handshake():
                pass
            assert (refusal.value.status, refusal.value.code) == (503, "tunnels_exhausted")
            assert dict(refusal.value.headers)["Retry-After"] == "1"
        # The second was refused by the service.
        assert pool.tunnels == 1
        first.close("tunnel")
        assert (pool.tunnels, pool.closed) == (0, {"tunnel": 1})

    loop.run(story())


def test_a_retired_pool_leaves_tunnels_alone_and_an_abort_doesn_t(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop)
        tunnel = await upstream.get()
        upstream.pool.joined(tunnel.real)
        upstream.pool.retire()
        assert tunnel.open
        upstream.pool.abort()
        assert tunnel.reasons == ["shutdown"]

    loop.run(story())


# -- failing to open --------------------------------------------------------------------------


def test_a_refused_connection_costs_no_slot(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        upstream.refuses = True
        for _ in range(5):
            with pytest.raises(Unreachable):
                await upstream.get()
        assert upstream.state == (0, 0, 0)
        upstream.refuses = False
        assert (await upstream.get()).open
        assert upstream.pool.opened == 1

    loop.run(story())


def test_connections_being_opened_count_as_used(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=1)
        upstream.slow = asyncio.Event()
        requests = [upstream.asked() for _ in range(3)]
        await settle()
        assert upstream.state == (2, 0, 1)
        assert len(upstream.made) == 2
        upstream.slow.set()
        upstream.release(await requests[0])
        assert await requests[2] is requests[0].result()

    loop.run(story())


def test_a_request_cancelled_while_opening_lets_the_next_open(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        upstream.slow = asyncio.Event()
        first, second = upstream.asked(), upstream.asked()
        await settle()
        first.cancel()
        upstream.slow.set()
        assert (await second).open
        assert upstream.state == (1, 0, 0)

    loop.run(story())


# -- the end ----------------------------------------------------------------------------------


def test_a_retired_pool_closes_what_is_idle_and_lets_the_rest_finish(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop)
        idle, busy = await upstream.get(), await upstream.get()
        upstream.release(idle)
        upstream.pool.retire()
        assert (idle.open, busy.open) == (False, True)
        upstream.release(busy)
        assert not busy.open
        assert upstream.pool.closed == {"retired": 2}
        assert upstream.state == (0, 0, 0)

    loop.run(story())


def test_a_retired_pool_still_serves_those_who_wait(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop, size=1, overflow=0)
        (connection,) = await upstream.full()
        request = upstream.asked()
        await settle()
        upstream.pool.retire()
        upstream.release(connection)
        assert (await request).open

    loop.run(story())


def test_an_abort_closes_everything(loop: PausedLoop) -> None:
    async def story() -> None:
        upstream = Upstream(loop)
        idle, busy = await upstream.get(), await upstream.get()
        upstream.release(idle)
        upstream.pool.abort()
        assert (idle.reasons, busy.reasons) == (["retired"], ["shutdown"])
        assert upstream.state == (0, 0, 0)

    loop.run(story())


def test_a_connection_given_back_twice_or_after_its_end_is_no_connection_more(
    loop: PausedLoop,
) -> None:
    async def story() -> None:
        upstream = Upstream(loop)
        first, second = await upstream.get(), await upstream.get()
        upstream.release(first)
        upstream.release(first)
        second.close("cut_short")
        upstream.release(second)
        second.close("again")
        assert upstream.state == (0, 1, 0)
        assert upstream.pool.closed == {"cut_short": 1}

    loop.run(story())


# -- anything, in any order -------------------------------------------------------------------


class Rush(RuleBasedStateMachine):
    """Requests, ends, deaths, refusals, cancellations and time in any order: no slot is lost,
    no connection is given twice, and nobody waits while there is room."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = PausedLoop()
        self.upstream = Upstream(self.loop, size=2, overflow=1, acquire_timeout="5s")
        self.requests: list[asyncio.Task[Paper]] = []
        self.used: list[Paper] = []

    def teardown(self) -> None:
        async def end() -> None:
            self.upstream.refuses = self.upstream.hangs_up = False
            for request in self.requests:
                request.cancel()
            if self.requests:
                await asyncio.wait(self.requests)
            await settle()
            for connection in [*self.used, *self._given()]:
                self.upstream.release(connection)
            await settle()
            in_use, _, waiting = self.upstream.state
            assert (in_use, waiting) == (0, 0), "a slot was lost"
            lasting = [
                connection
                for connection in self.upstream.made
                if connection.open and connection.deadline > self.loop.now + 1.0
            ]
            assert len(lasting) <= self.upstream.pool.size
            self.upstream.pool.retire()
            assert self.upstream.state == (0, 0, 0)
            assert not [connection for connection in self.upstream.made if connection.open]

        try:
            self.loop.run(end())
        finally:
            self.loop.close()

    def _given(self) -> list[Paper]:
        """Connections of requests that are done waiting; the requests are forgotten."""
        given = []
        for request in [request for request in self.requests if request.done()]:
            self.requests.remove(request)
            if not request.cancelled() and request.exception() is None:
                connection = request.result()
                if connection.open:
                    given.append(connection)
        return given

    def _run(self) -> None:
        self.loop.run(settle())
        self.used += self._given()

    @rule(fresh=st.booleans(), careful=st.booleans())
    def ask(self, fresh: bool, careful: bool) -> None:
        self.requests.append(self.loop.create_task(self.upstream.get(careful, fresh)))

    @rule()
    def take(self) -> None:
        connection = self.upstream.take()
        if connection is not None:
            assert connection not in self.used
            self.used.append(connection)

    @rule()
    def let_things_happen(self) -> None:
        self._run()

    @rule(seconds=st.sampled_from([0.1, 3.0, 100.0, 2000.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.loop.run(asyncio.sleep(seconds))
        self._run()

    @precondition(lambda self: self.used)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        connection = self.used.pop(data.draw(st.integers(0, len(self.used) - 1)))
        self.upstream.release(connection)

    @precondition(lambda self: self.used)
    @rule(data=st.data(), release=st.booleans())
    def break_off(self, data: st.DataObject, release: bool) -> None:
        connection = self.used.pop(data.draw(st.integers(0, len(self.used) - 1)))
        if release:
            self.upstream.release(connection)
        connection.close("cut_short")

    @precondition(lambda self: self.used)
    @rule(data=st.data())
    def finish_and_be_closed_unseen(self, data: st.DataObject) -> None:
        connection = self.used.pop(data.draw(st.integers(0, len(self.used) - 1)))
        connection.readable = True
        self.upstream.release(connection)

    @precondition(lambda self: self.upstream.made)
    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        made = self.upstream.made
        connection = made[data.draw(st.integers(0, len(made) - 1))]
        connection.close("closed_by_upstream")
        if connection in self.used:
            self.used.remove(connection)

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.requests[data.draw(st.integers(0, len(self.requests) - 1))].cancel()

    @rule(refuses=st.booleans(), hangs_up=st.booleans())
    def change(self, refuses: bool, hangs_up: bool) -> None:
        self.upstream.refuses, self.upstream.hangs_up = refuses, hangs_up

    @invariant()
    def the_books_are_right(self) -> None:
        pool = self.upstream.pool
        in_use, idle, waiting = self.upstream.state
        assert in_use + idle <= pool.size + pool.overflow
        assert in_use >= len(self.used)
        assert len(set(map(id, self.used))) == len(self.used)
        if waiting:
            assert in_use + idle == pool.size + pool.overflow, "somebody waits, and there is room"
        assert sum(pool.closed.values()) <= len(self.upstream.made)


TestRush = Rush.TestCase
TestRush.settings = settings(stateful_step_count=40, deadline=None)
