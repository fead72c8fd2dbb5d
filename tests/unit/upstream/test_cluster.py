"""Several endpoints behind one handler, with pools of paper."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections import Counter
from collections.abc import Iterable, Set
from math import isnan
from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxy.config.upstream import Upstream
from proxy.contract import LATE, TRIED, Request, Response
from proxy.errors import GatewayError, Unanswered, Unsent
from proxy.upstream.cluster import Cluster, usable
from proxy.upstream.endpoint import Endpoint
from proxy.upstream.key import read_key
from proxy.upstream.member import Member, Seat
from proxy.upstream.outlier import blames
from proxy.upstream.pool import Pool
from proxy.wire.deadlines import Deadlines
from proxy.wire.flow import Inflow
from tests.unit.asking import Ask, Prompt, at_once, by_waiting
from tests.unit.policies.world import World, a_request, upstream_response
from tests.unit.upstream.means import some_means


class Fleet:
    """An upstream whose endpoints answer, fail when in `down`, or give a status.

    now: the paused clock; `wait` lets it go on as a sweep sees it.
    """

    asking: Ask = staticmethod(by_waiting)

    def __init__(self, *names: str, balance: Any = "least_request", **options: Any) -> None:
        self.world = World()
        self.down: set[str] = set()
        self.raises: BaseException | None = None
        self.fields: list[tuple[str, str]] = []
        self.body: bytes | Inflow = b""
        self.status: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.asked: Counter[str] = Counter()
        self.loads: dict[str, int] = {}
        self.pools = {
            name: SimpleNamespace(available=True, load=0, tunnels=0, tunnel_available=True)
            for name in names
        }
        self.members = {name: self._member(name) for name in names}
        self.deadlines = Deadlines(lambda: self.now)
        self.means = some_means(self.world, lambda: self.now, self.deadlines)
        options = {"endpoints": [f"http://{name}" for name in names], "balance": balance, **options}
        self.cluster = self.configured(options, names)
        self.cluster.start()

    def configured(self, options: dict[str, Any], names: Iterable[str]) -> Cluster:
        seats = [self.seat(name) for name in names]
        return Cluster("users", seats, Upstream.model_validate(options), self.means)

    @property
    def now(self) -> float:
        return self.world.now

    def _member(self, name: str) -> Member:
        endpoint = cast("Endpoint", SimpleNamespace(text=name))
        return Member(endpoint, cast("Pool", self.pools[name]), self.now)

    def seat(self, name: str) -> Seat:
        async def ask(request: Request) -> Response:
            self.asked[name] += 1
            self.loads[name] = self.members[name].asked
            self.world.now += self.seconds.get(name, 0.0)
            if self.raises is not None:
                raise self.raises
            if name in self.down:
                raise Unsent("upstream_unreachable")
            response = upstream_response(self.status.get(name, 200), *self.fields)
            response.body = self.body
            return response

        priority = 1 if name.startswith("spare") else 0
        return Seat(self.members[name], Prompt(ask), 1, priority, lambda: self.now)

    async def ask(self, times: int = 1, tried: Set[str] = frozenset(), upgrade: str = "") -> int:
        """Ask so often; how often it failed."""
        failures = 0
        for _ in range(times):
            request = a_request()
            request.upgrade = upgrade
            if tried:
                request.state[TRIED] = tried
            try:
                await self.answer(request)
            except Unsent:
                failures += 1
        return failures

    async def answer(self, request: Request) -> Response:
        return await type(self).asking(self.cluster, request)

    def wait(self, seconds: float) -> None:
        self.world.now += seconds
        self.deadlines.sweep()

    def up(self, name: str) -> float:
        return self.world.journal.gauges["sidegate_upstream_endpoint_up", "users", name].value


@pytest.fixture(autouse=True, params=[by_waiting, at_once])
def asking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In both ways the same is asked, and known afterwards."""
    monkeypatch.setattr(Fleet, "asking", staticmethod(request.param))


@pytest.mark.parametrize("by", ["least_request", "ewma", "round_robin", "random"])
async def test_all_endpoints_are_asked(by: str) -> None:
    fleet = Fleet("a", "b", "c", balance=by)
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


@pytest.mark.parametrize("by", ["least_request", "ewma"])
async def test_tunnels_go_where_fewer_of_them_are(by: str) -> None:
    fleet = Fleet("a", "b", balance=by)
    fleet.pools["a"].tunnels, fleet.pools["b"].load = 50, 7
    await fleet.ask(20, upgrade="websocket")
    assert fleet.asked == {"b": 20}
    await fleet.ask(1)
    assert fleet.asked["a"] == 1


@pytest.mark.parametrize("by", ["least_request", "round_robin", "hash"])
async def test_tunnels_go_where_there_is_room_for_one_more(by: str) -> None:
    fleet = Fleet("a", "b", balance=by)
    fleet.pools["a"].tunnel_available = False
    await fleet.ask(20, upgrade="websocket")
    assert fleet.asked == {"b": 20}


async def test_when_all_are_full_one_has_the_queue() -> None:
    fleet = Fleet("a", "b")
    for pool in fleet.pools.values():
        pool.available = False
    await fleet.ask(20)
    assert fleet.asked.total() == 20


async def test_what_was_tried_is_tried_again_only_when_there_is_no_other() -> None:
    fleet = Fleet("a", "b", "c")
    await fleet.ask(20, tried={"a", "c"})
    assert fleet.asked == {"b": 20}
    await fleet.ask(20, tried={"a", "b", "c"})
    assert fleet.asked.total() == 40


async def test_one_that_is_full_is_better_than_one_that_failed() -> None:
    fleet = Fleet("a", "b")
    fleet.pools["b"].available = False
    await fleet.ask(20, tried={"a"})
    assert fleet.asked == {"b": 20}


async def test_failures_are_passed_on_and_remembered_as_slowness() -> None:
    fleet = Fleet("a", "b", balance="ewma")
    fleet.down = {"a"}
    assert await fleet.ask(50) == fleet.asked["a"] == 1
    assert fleet.loads == {"a": 1, "b": 1}
    assert [member.asked for member in fleet.members.values()] == [0, 0]


async def test_a_new_endpoint_starts_slowly() -> None:
    fleet = Fleet("a", "b", balance={"by": "round_robin", "slow_start": "100s"})
    fleet.members["a"].since = fleet.now - 1000
    await fleet.ask(220)
    assert fleet.asked["b"] == pytest.approx(20, abs=2)
    fleet.world.now += 100
    fleet.asked.clear()
    await fleet.ask(200)
    assert fleet.asked["b"] == pytest.approx(100, abs=12)


async def test_requests_of_one_key_go_to_one_endpoint() -> None:
    fleet = Fleet("a", "b", "c", balance={"by": "hash", "key": "header:X-User"})
    owners = []
    for user in range(30):
        fleet.asked.clear()
        for _ in range(5):
            await fleet.answer(a_request("/", ("X-User", str(user))))
        [owner] = fleet.asked
        owners.append(owner)
    assert set(owners) == {"a", "b", "c"}


# -- sticky clients --------------------------------------------------------------------------------

STICKY: dict[str, Any] = {"sticky": {"secret": "0123456789abcdef", "max_age": "1h"}}


async def visit(fleet: Fleet, cookie: str = "") -> tuple[str, str]:
    """The endpoint that a client with this cookie gets, and the cookie that it is given."""
    fleet.asked.clear()
    response = await fleet.answer(a_request("/", *([("Cookie", cookie)] if cookie else [])))
    [name] = fleet.asked
    return name, response.headers.get("set-cookie") or ""


async def test_a_client_stays_where_it_was() -> None:
    fleet = Fleet(*"abcd", balance=STICKY)
    name, cookie = await visit(fleet)
    value, _, attributes = cookie.partition("; ")
    assert attributes == "Max-Age=3600; Path=/; HttpOnly; SameSite=Lax"
    assert len(value.partition("=")[2]) == 32, "a keyed hash, which names no endpoint"
    for _ in range(20):
        assert await visit(fleet, f"other=1; {value}") == (name, ""), "it knows already"


async def test_replicas_understand_each_other_and_others_do_not() -> None:
    name, cookie = await visit(Fleet(*"abcd", balance=STICKY))
    value = cookie.partition(";")[0]
    assert await visit(Fleet(*"abcd", balance=STICKY), value) == (name, "")
    other = Fleet(*"abcd", balance={"sticky": {"secret": "fedcba9876543210"}})
    assert (await visit(other, value))[1] != ""


async def test_a_client_whose_endpoint_is_unfit_gets_another_one() -> None:
    fleet = Fleet(*"abcd", balance=STICKY)
    name, cookie = await visit(fleet)
    value = cookie.partition(";")[0]
    broken(fleet, name)
    other, given = await visit(fleet, value)
    assert other != name
    assert given.partition(";")[0] not in ("", value)
    fleet.cluster.update([fleet.seat(seat) for seat in "abcd" if seat != name])
    assert (await visit(fleet, value))[0] != name


@pytest.mark.parametrize(
    ("fields", "marked"),
    [
        ({"Cache-Control": "max-age=60"}, False),
        ({"Cache-Control": "public"}, False),
        ({"Cache-Control": "max-age=0, s-maxage=5"}, False),
        ({"Expires": "Thu, 01 Jan 2099 00:00:00 GMT"}, False),
        ({"CDN-Cache-Control": "max-age=60", "Cache-Control": "no-store"}, False),
        ({"Cache-Control": "private, max-age=60"}, True),
        ({"Cache-Control": "no-store"}, True),
        ({"Cache-Control": 'max-age=60, no-cache="Set-Cookie"'}, False),
        ({"Cache-Control": "max-age=0"}, True),
        ({}, True),
    ],
)
async def test_what_caches_may_give_to_everybody_names_nobodys_endpoint(
    fields: dict[str, str], marked: bool
) -> None:
    fleet = Fleet(*"abcd", balance=STICKY)
    fleet.fields = list(fields.items())
    assert bool((await visit(fleet))[1]) is marked


async def test_a_made_up_cookie_chooses_nothing() -> None:
    fleet = Fleet(*"abcd", balance=STICKY)
    _, given = await visit(fleet, f"sidegate_seat={'0' * 32}")
    assert given.startswith("sidegate_seat=")


# -- ejection --------------------------------------------------------------------------------------


async def test_an_endpoint_that_fails_in_a_row_is_left_alone_for_a_while() -> None:
    fleet = Fleet("a", "b", "c", balance="round_robin")
    fleet.down = {"b"}
    assert await fleet.ask(60) == 5
    assert (fleet.up("a"), fleet.up("b")) == (1.0, 0.0)
    ejections = fleet.world.journal.counts["sidegate_upstream_ejections_total", "users", "b",
                                           "consecutive"]  # fmt: skip
    assert ejections.value == 1
    assert ("warning", "endpoint ejected") in [line[:2] for line in fleet.world.journal.lines]
    fleet.wait(5.0)
    assert fleet.up("b") == 1.0
    assert await fleet.ask(60) == 1, "it returned on probation"


async def test_one_that_recovers_has_its_share_again() -> None:
    fleet = Fleet("a", "b", balance="round_robin")
    fleet.down = {"b"}
    await fleet.ask(20)
    fleet.down = set()
    fleet.wait(5.0)
    fleet.asked.clear()
    assert await fleet.ask(20) == 0
    assert fleet.asked == {"a": 10, "b": 10}


async def test_statuses_of_gateways_count_and_others_only_when_asked_for() -> None:
    for status, options, ejected in (
        (503, {}, True),
        (500, {}, False),
        (404, {}, False),
        (500, {"consecutive_5xx": 5}, True),
        (503, {"consecutive": None}, False),
    ):
        fleet = Fleet("a", "b", "c", balance="round_robin", outliers=options)
        fleet.status = {"b": status}
        await fleet.ask(30)
        assert (fleet.up("b") == 0.0) is ejected, (status, options)


async def test_failures_of_the_client_or_for_want_of_connections_are_not_the_endpoints() -> None:
    request = a_request()
    for code in ("pool_exhausted", "incomplete_body", "body_too_large"):
        assert not blames(GatewayError(code), request)
    assert not blames(Unsent("pool_exhausted"), request)
    assert not blames(ValueError(), request)
    assert blames(Unsent("connect_timeout"), request)
    assert blames(Unanswered("upstream_timeout"), request)
    assert blames(GatewayError("upstream_invalid"), request)


@pytest.mark.parametrize("whole", [False, True])
async def test_a_body_that_is_cut_short_is_the_endpoints_failure(whole: bool) -> None:
    fleet = Fleet("a", "b", outliers={"consecutive": 3})
    for number in range(12):
        fleet.body = Inflow(asyncio.get_running_loop(), lambda _: None)
        await fleet.answer(a_request())
        if number % 3 == 1:
            await fleet.body.aclose()
        elif whole:
            fleet.body.finish()
        else:
            fleet.body.fail(GatewayError("upstream_closed"))
        fleet.body = b"one that comes at once proves nothing about those that stream"
        await fleet.answer(a_request())
    assert fleet.up("a") + fleet.up("b") == (2.0 if whole else 1.0)


@pytest.mark.parametrize("late", [False, True])
async def test_who_is_cancelled_blames_the_endpoint_only_when_its_time_is_over(late: bool) -> None:
    fleet = Fleet("a", "b")
    request = a_request()
    assert not blames(CancelledError(), request), "the client has gone"
    request.state[LATE] = lambda: late
    assert blames(CancelledError(), request) is late
    fleet.raises = CancelledError()
    for _ in range(20):
        with pytest.raises(CancelledError):
            await fleet.answer(request)
    assert fleet.up("a") + fleet.up("b") == (1.0 if late else 2.0)
    assert [member.asked for member in fleet.members.values()] == [0, 0]


async def test_no_more_than_a_share_is_ejected_and_one_always_stays() -> None:
    fleet = Fleet(*"abcde", balance="round_robin", outliers={"most": "40%"})
    fleet.down = set("abcde")
    await fleet.ask(200)
    assert [fleet.up(name) for name in "abcde"].count(0.0) == 2
    pair = Fleet("a", "b", balance="round_robin", outliers={"most": "100%"})
    pair.down = {"a", "b"}
    await pair.ask(50)
    assert [pair.up(name) for name in "ab"].count(0.0) == 1


async def test_one_that_succeeds_less_than_the_others_is_found_by_comparison() -> None:
    fleet = Fleet(*"abc", balance="round_robin", outliers={"success_rate": "20%", "volume": 10})
    for turn in range(60):
        fleet.status = {"b": 500 if turn % 2 else 200}
        await fleet.ask(3)
    assert fleet.up("b") == 1.0
    fleet.wait(10.0)
    assert [fleet.up(name) for name in "abc"] == [1.0, 0.0, 1.0]


async def test_one_that_is_slower_than_the_others_is_found_by_comparison() -> None:
    fleet = Fleet(*"abc", balance="round_robin", outliers={"latency": 3, "volume": 10})
    fleet.seconds = {"a": 0.01, "b": 0.011, "c": 0.05}
    await fleet.ask(60)
    fleet.wait(10.0)
    assert [fleet.up(name) for name in "abc"] == [1.0, 1.0, 0.0]


async def test_few_requests_prove_nothing() -> None:
    fleet = Fleet(*"abc", balance="round_robin", outliers={"success_rate": "20%", "volume": 21})
    fleet.status = {"b": 500}
    await fleet.ask(60)
    fleet.wait(10.0)
    assert fleet.up("b") == 1.0


# -- which are usable ------------------------------------------------------------------------------


def broken(fleet: Fleet, *names: str) -> None:
    for name in names:
        fleet.members[name].ejection.eject(fleet.now)


@pytest.mark.parametrize(
    ("down", "used", "panic"),
    [
        ("", "abcd", False),
        ("a", "bcd", False),
        ("abc", "d", False),
        ("abcd", "st", False),
        ("abcds", "t", False),
        ("abcdst", "abcd", True),
    ],
)
def test_who_serves(down: str, used: str, panic: bool) -> None:
    fleet = Fleet(*"abcdst")
    seats = [fleet.seat(name) for name in "abcdst"]
    for seat in seats[4:]:
        seat.priority = 1
    broken(fleet, *down)
    chosen, all_of_them = usable(seats, 0.25)
    assert ("".join(seat.name for seat in chosen), all_of_them) == (used, panic)


def test_too_few_are_none() -> None:
    fleet = Fleet(*"abcde")
    broken(fleet, *"abcd")
    chosen, panic = usable([fleet.seat(name) for name in "abcde"], 0.25)
    assert (len(chosen), panic) == (5, True)
    chosen, panic = usable([fleet.seat(name) for name in "abcde"], 0.0)
    assert (len(chosen), panic) == (1, False)


async def test_panic_is_told() -> None:
    fleet = Fleet("a", "b", balance={"by": "round_robin", "panic": "75%"})
    fleet.down = {"a"}
    await fleet.ask(20)
    assert fleet.cluster.facts()["panic"] is True
    told = fleet.world.journal.gauges["sidegate_upstream_panic", "users"]
    assert told.value == 1.0
    fleet.cluster.stop()
    assert all(isnan(level) for level in (told.value, fleet.up("a"), fleet.up("b")))


# -- coming and going ------------------------------------------------------------------------------


async def test_endpoints_that_go_are_not_asked_and_those_that_stay_are_remembered() -> None:
    fleet = Fleet(*"abc", balance="round_robin")
    fleet.down = {"b"}
    await fleet.ask(30)
    fleet.cluster.update([fleet.seat("b"), fleet.seat("c")])
    fleet.asked.clear()
    await fleet.ask(10)
    assert fleet.asked == {"c": 10}
    assert isnan(fleet.up("a"))


async def test_what_is_known_survives_another_configuration() -> None:
    fleet = Fleet(*"ab", balance="round_robin")
    fleet.down = {"b"}
    await fleet.ask(30)
    fleet.cluster.stop()
    urls = {"endpoints": ["http://a", "http://b"], "balance": "ewma"}
    fleet.cluster = fleet.configured(urls, "ab")
    fleet.cluster.start()
    assert len(fleet.deadlines) == 1
    fleet.asked.clear()
    await fleet.ask(10)
    assert fleet.asked == {"a": 10}


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
