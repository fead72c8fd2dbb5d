"""Several endpoints behind one handler, with pools of paper."""

from __future__ import annotations

from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxy.config.upstream import Balance
from proxy.contract import TRIED, Request, Response
from proxy.errors import Unsent
from proxy.upstream.cluster import Cluster, read_key
from proxy.upstream.endpoint import Endpoint
from proxy.upstream.member import Member, Seat
from proxy.upstream.pool import Pool
from tests.unit.policies.world import a_request, upstream_response


class Fleet:
    """An upstream whose endpoints answer, or fail when they are in `down`."""

    def __init__(self, *names: str, **balance: Any) -> None:
        self.now = 1000.0
        self.down: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.loads: dict[str, int] = {}
        self.pools = {name: SimpleNamespace(available=True, load=0) for name in names}
        self.members = {name: self._member(name) for name in names}
        self.cluster = Cluster(
            "users",
            [self._seat(name) for name in names],
            Balance.model_validate(balance),
            lambda: self.now,
            Random(7).random,
        )

    def _member(self, name: str) -> Member:
        endpoint = cast("Endpoint", SimpleNamespace(text=name))
        return Member(endpoint, cast("Pool", self.pools[name]), self.now)

    def _seat(self, name: str) -> Seat:
        async def ask(request: Request) -> Response:
            self.asked[name] += 1
            self.loads[name] = self.members[name].asked
            if name in self.down:
                raise Unsent("upstream_unreachable")
            return upstream_response(200)

        priority = 1 if name.startswith("spare") else 0
        return Seat(self.members[name], ask, 1, priority, lambda: self.now)

    async def ask(self, times: int = 1, **state: Any) -> None:
        for _ in range(times):
            request = a_request()
            request.state = dict(state)
            await self.cluster(request)


@pytest.mark.parametrize("by", ["least_request", "ewma", "round_robin", "random"])
async def test_all_endpoints_are_asked(by: str) -> None:
    fleet = Fleet("a", "b", "c", by=by)
    await fleet.ask(300)
    assert set(fleet.asked) == {"a", "b", "c"}


async def test_one_of_a_later_priority_stands_by() -> None:
    fleet = Fleet("a", "b", "spare")
    await fleet.ask(50)
    assert fleet.asked["spare"] == 0


async def test_another_endpoint_at_once_rather_than_a_place_in_a_queue() -> None:
    fleet = Fleet("a", "b", "c")
    fleet.pools["a"].available = fleet.pools["c"].available = False
    await fleet.ask(20)
    assert fleet.asked == {"b": 20}


async def test_when_all_are_full_one_has_the_queue() -> None:
    fleet = Fleet("a", "b")
    for pool in fleet.pools.values():
        pool.available = False
    await fleet.ask(20)
    assert fleet.asked.total() == 20


async def test_what_was_tried_is_tried_again_only_when_there_is_no_other() -> None:
    fleet = Fleet("a", "b", "c")
    await fleet.ask(20, **{TRIED: {"a", "c"}})
    assert fleet.asked == {"b": 20}
    await fleet.ask(20, **{TRIED: {"a", "b", "c"}})
    assert fleet.asked.total() == 40


async def test_one_that_is_full_is_better_than_one_that_failed() -> None:
    fleet = Fleet("a", "b")
    fleet.pools["b"].available = False
    await fleet.ask(20, **{TRIED: {"a"}})
    assert fleet.asked == {"b": 20}


async def test_failures_are_passed_on_and_remembered_as_slowness() -> None:
    fleet = Fleet("a", "b", by="ewma")
    fleet.down = {"a"}
    failed = 0
    for _ in range(50):
        try:
            await fleet.ask()
        except Unsent:
            failed += 1
    assert failed == fleet.asked["a"] == 1
    assert fleet.loads == {"a": 1, "b": 1}
    assert [member.asked for member in fleet.members.values()] == [0, 0]


async def test_a_new_endpoint_starts_slowly() -> None:
    fleet = Fleet("a", "b", by="round_robin", slow_start="100s")
    fleet.members["a"].since = fleet.now - 1000
    await fleet.ask(220)
    assert fleet.asked["b"] == pytest.approx(20, abs=2)
    fleet.now += 100
    fleet.asked.clear()
    await fleet.ask(200)
    assert fleet.asked["b"] == pytest.approx(100, abs=12)


async def test_requests_of_one_key_go_to_one_endpoint() -> None:
    fleet = Fleet("a", "b", "c", by="hash", key="header:X-User")
    owners = []
    for user in range(30):
        fleet.asked.clear()
        for _ in range(5):
            await fleet.cluster(a_request("/", ("X-User", str(user))))
        [owner] = fleet.asked
        owners.append(owner)
    assert set(owners) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("key", "request_", "value"),
    [
        ("client_ip", a_request(client_ip="192.0.2.1"), b"192.0.2.1"),
        ("path", a_request("/a/b?c=d"), b"/a/b"),
        ("header:X-User", a_request("/", ("x-user", "ann")), b"ann"),
        ("header:X-User", a_request("/", client_ip="192.0.2.1"), b"192.0.2.1"),
        ("cookie:sid", a_request("/", ("Cookie", "a=1; sid=7")), b"7"),
        ("cookie:sid", a_request("/", ("Cookie", "a=1"), client_ip="192.0.2.1"), b"192.0.2.1"),
    ],
)
def test_keys(key: str, request_: Request, value: bytes) -> None:
    assert read_key(key)(request_) == value
