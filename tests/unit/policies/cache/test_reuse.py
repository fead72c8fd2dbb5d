"""When stored responses answer: RFC 9111, 4, 4.2.4 and 5.2.1, and RFC 5861."""

from __future__ import annotations

import pytest

from proxy.contract import AHEAD
from proxy.errors import GatewayError
from tests.unit.policies.cache.stage import Reply, Stage, field, reply, status
from tests.unit.policies.world import a_request

CC = "Cache-Control"
DOWN = GatewayError("upstream_closed")


@pytest.mark.parametrize(
    ("control", "age", "wish", "answered"),
    [
        ("max-age=60", 10, "", "hit; ttl=50"),
        ("max-age=60", 10, "no-cache", "fwd=request; stored; ttl=60"),
        ("max-age=60", 10, "no-store", 'fwd=request; detail="request"'),
        ("max-age=60", 10, "max-age=0", "fwd=request; stored; ttl=60"),
        ("max-age=60", 10, "max-age=9", "fwd=request; stored; ttl=60"),
        ("max-age=60", 10, "max-age=10", "hit; ttl=50"),
        ("max-age=60", 10, "max-age=x", "fwd=request; stored; ttl=60"),
        ("max-age=60", 10, "min-fresh=50", "hit; ttl=50"),
        ("max-age=60", 10, "min-fresh=51", "fwd=request; stored; ttl=60"),
        ("max-age=60", 70, "max-stale", "hit; ttl=-10"),
        ("max-age=60", 70, "max-stale=10", "hit; ttl=-10"),
        ("max-age=60", 70, "max-stale=9", "fwd=stale; stored; ttl=60"),
        ("max-age=60", 70, "max-stale=x", "fwd=stale; stored; ttl=60"),
        ("max-age=60, must-revalidate", 70, "max-stale", "fwd=stale; stored; ttl=60"),
        ("max-age=60, proxy-revalidate", 70, "max-stale", "fwd=stale; stored; ttl=60"),
        ("s-maxage=60", 70, "max-stale", "fwd=stale; stored; ttl=60"),
        ("max-age=60", 10, "only-if-cached", "hit; ttl=50"),
        ("max-age=60", 10, "foo", "hit; ttl=50"),
    ],
)
async def test_request_directives(control: str, age: float, wish: str, answered: str) -> None:
    stage = Stage(reply(200, (CC, control)), honor_request_directives="always")
    await stage.ask()
    stage.wait(age)
    fields = [(CC, wish)] if wish else []
    assert status(await stage.ask("/a/b", *fields)) == answered


@pytest.mark.parametrize(
    ("honor", "trusted", "obeyed"),
    [
        ("never", True, False),
        ("trusted", False, False),
        ("trusted", True, True),
        ("always", False, True),
    ],
)
@pytest.mark.parametrize("wish", [(CC, "no-cache"), ("Pragma", "no-cache")])
async def test_whose_directives_are_obeyed(
    honor: str, trusted: bool, obeyed: bool, wish: tuple[str, str]
) -> None:
    stage = Stage(honor_request_directives=honor)
    await stage.ask("/a/b", trusted=trusted)
    await stage.ask("/a/b", wish, trusted=trusted)
    assert len(stage.asked) == 1 + obeyed


async def test_pragma_counts_only_alone() -> None:
    stage = Stage(honor_request_directives="always")
    await stage.ask()
    await stage.ask("/a/b", ("Pragma", "no-cache"), (CC, "max-age=9"))
    await stage.ask("/a/b", ("Pragma", "foo"))
    assert len(stage.asked) == 1


async def test_only_if_cached_is_refused_when_nothing_is() -> None:
    stage = Stage(honor_request_directives="always")
    with pytest.raises(GatewayError) as raised:
        await stage.ask("/a/b", (CC, "only-if-cached"))
    assert (raised.value.status, raised.value.code) == (504, "not_stored")
    assert stage.asked == []


@pytest.mark.parametrize(("seconds", "asked"), [(50, 1), (51, 2)])
async def test_who_asks_ahead_is_obeyed_and_is_no_client(seconds: int, asked: int) -> None:
    stage = Stage(reply(200, (CC, "max-age=60")), honor_request_directives="never")
    requests = [a_request("/a/b", (CC, f"min-fresh={seconds}")) for _ in range(2)]
    for request in requests:
        request.state[AHEAD] = True
        await stage.send(request)
        stage.wait(10)
    assert len(stage.asked) == asked
    outcomes = [decision.outcome for request in requests for decision in request.decisions]
    assert outcomes == ["miss", "hit" if asked == 1 else "miss"]
    assert {stage.count("requests", "shop", outcome) for outcome in ("hit", "miss")} == {0}
    assert stage.count("saved_seconds", "shop") == 0
    assert stage.count("stores", "shop") == asked


async def test_what_an_obeyed_client_wants_not_stored_is_not() -> None:
    stage = Stage(honor_request_directives="always")
    await stage.ask("/a/b", (CC, "no-store"))
    assert status(await stage.ask()).startswith("fwd=uri-miss")


# -- stale-while-revalidate -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "option", "age", "served"),
    [
        ("max-age=10, stale-while-revalidate=20", "0", 25, True),
        ("max-age=10, stale-while-revalidate=20", "0", 31, False),
        ("max-age=10, stale-while-revalidate=20", "1h", 31, False),
        ("max-age=10", "20s", 25, True),
        ("max-age=10", "0", 11, False),
        ("max-age=10, must-revalidate", "20s", 11, False),
        ("max-age=10, proxy-revalidate, stale-while-revalidate=20", "0", 11, False),
        ("s-maxage=10", "20s", 11, False),
        ("s-maxage=10, stale-while-revalidate=20", "0", 25, True),
        ("max-age=0, stale-while-revalidate=20", "0", 11, True),
        ("no-cache, stale-while-revalidate=20", "0", 1, False),
    ],
)
async def test_stale_while_revalidate(control: str, option: str, age: float, served: bool) -> None:
    stage = Stage(
        reply(200, (CC, control), body=b"old"), reply(200, (CC, control), body=b"new"),
        stale_while_revalidate=option,
    )  # fmt: skip
    await stage.ask()
    stage.wait(age)
    second = await stage.ask()
    assert second.body == (b"old" if served else b"new")
    assert status(second).startswith("hit; ttl=-") is served
    await stage.settle()
    assert len(stage.asked) == 2
    third = await stage.ask()
    assert third.body == b"new"


async def test_one_request_refreshes_for_all() -> None:
    control = (CC, "max-age=10, stale-while-revalidate=60")
    stage = Stage(reply(200, control), reply(200, control))
    await stage.ask()
    stage.wait(11)
    for _ in range(10):
        assert status(await stage.ask()) == "hit; ttl=-1"
    await stage.settle()
    assert len(stage.asked) == 2
    assert stage.count("requests", "shop", "stale") == 10
    assert status(await stage.ask()) == "hit; ttl=10"


async def test_a_refresh_that_fails_leaves_what_is_stored() -> None:
    stage = Stage(reply(200, (CC, "max-age=10, stale-while-revalidate=60")), DOWN)
    await stage.ask()
    stage.wait(11)
    for _ in range(3):
        assert status(await stage.ask()) == "hit; ttl=-1"
        await stage.settle()
    assert len(stage.asked) == 4


# -- stale-if-error -------------------------------------------------------------------------------

FAILURES: list[Reply] = [DOWN, *(reply(code) for code in (500, 502, 503, 504))]


@pytest.mark.parametrize(
    ("control", "option", "age", "served"),
    [
        ("max-age=10, stale-if-error=20", "0", 29, True),
        ("max-age=10, stale-if-error=20", "0", 31, False),
        ("max-age=10, stale-if-error=20", "1h", 31, False),
        ("max-age=10", "20s", 29, True),
        ("max-age=10", "20s", 31, False),
        ("max-age=10", "0", 11, False),
        ("max-age=10, must-revalidate", "1h", 11, False),
        ("max-age=10, proxy-revalidate", "1h", 11, False),
        ("max-age=10, no-cache", "1h", 1, False),
        ("s-maxage=10", "1h", 11, False),
        ("s-maxage=10, stale-if-error=20", "0", 11, True),
        ("max-age=10, must-revalidate, stale-if-error=20", "0", 11, False),
    ],
)
@pytest.mark.parametrize("failure", FAILURES)
async def test_stale_if_error(
    control: str, option: str, age: float, served: bool, failure: Reply
) -> None:
    validators = ("ETag", '"a"') if "no-cache" in control else ("X", "y")
    stage = Stage(reply(200, (CC, control), validators), failure, stale_if_error=option)
    await stage.ask()
    stage.wait(age)
    if failure is DOWN and not served:
        with pytest.raises(GatewayError, match="upstream_closed"):
            await stage.ask()
        return
    second = await stage.ask()
    assert (second.status == 200) is served
    if served:
        assert "stale-if-error" in status(second)
        assert status(second).startswith("fwd=stale")


async def test_other_errors_are_the_answer() -> None:
    stage = Stage(reply(200, (CC, "max-age=10")), reply(501), stale_if_error="1h")
    await stage.ask()
    stage.wait(11)
    assert (await stage.ask()).status == 501


async def test_a_failure_of_the_proxy_or_client_is_not_covered_up() -> None:
    stage = Stage(reply(200, (CC, "max-age=10")), GatewayError("internal_error"))
    await stage.ask()
    stage.wait(11)
    with pytest.raises(GatewayError):
        await stage.ask()


@pytest.mark.parametrize(("wish", "age", "code"), [("=5", 14, 200), ("=5", 16, 500), ("", 11, 500)])
async def test_a_request_may_narrow_it_whoever_asks(wish: str, age: float, code: int) -> None:
    stage = Stage(reply(200, (CC, "max-age=10")), reply(500), stale_if_error="1h")
    await stage.ask()
    stage.wait(age)
    assert (await stage.ask("/a/b", (CC, f"stale-if-error{wish}"))).status == code


async def test_the_service_is_asked_again_each_time() -> None:
    stage = Stage(reply(200, (CC, "max-age=10")), DOWN, DOWN, reply(200, (CC, "max-age=10")))
    await stage.ask()
    stage.wait(11)
    assert [status(await stage.ask()).split(";")[0] for _ in range(4)] == [
        "fwd=stale", "fwd=stale", "fwd=stale", "hit",
    ]  # fmt: skip


# -- early refresh --------------------------------------------------------------------------------


async def test_what_took_long_is_fetched_anew_before_it_runs_out() -> None:
    stage = Stage(reply(200, (CC, "max-age=60")))
    stage.took = 2.0
    await stage.ask()
    early = []
    for _ in range(40):
        asked, left = len(stage.asked), 0
        while len(stage.asked) == asked:
            stage.wait(0.25)
            answer = await stage.ask()
            assert status(answer).startswith("hit")
            left = int(status(answer).rpartition("=")[2])
            await stage.settle()
        early.append(left)
    # By an exponential distribution of the time that the fetch takes.
    assert min(early) >= 0
    assert max(early) < 15
    assert 1 < sum(early) / len(early) < 6


async def test_early_refresh_can_be_off() -> None:
    stage = Stage(reply(200, (CC, "max-age=60")), early_refresh=0)
    stage.took = 2.0
    await stage.ask()
    for _ in range(57):
        stage.wait(1)
        await stage.ask()
    assert len(stage.asked) == 1


async def test_hits_are_counted_with_the_time_that_they_save() -> None:
    stage = Stage()
    stage.took = 0.5
    await stage.ask()
    for _ in range(3):
        await stage.ask()
    assert stage.count("requests", "shop", "hit") == 3
    assert stage.count("requests", "shop", "miss") == 1
    assert stage.count("saved_seconds", "shop") == 1.5
    assert stage.count("stores", "shop") == 1
    assert stage.count("stored_bytes", "shop") == 4


async def test_what_was_decided_is_noted() -> None:
    from tests.unit.policies.world import a_request

    stage = Stage()
    for outcome in ("miss", "hit"):
        request = a_request()
        await stage.send(request)
        assert request.decisions == [("cache", outcome, "")]
    request = a_request(method="DELETE")
    await stage.send(request)
    assert request.decisions == [("cache", "bypass", "")]


async def test_age_of_a_hit_is_never_the_services() -> None:
    stage = Stage(reply(200, (CC, "max-age=60"), ("Age", "7")))
    await stage.ask()
    assert field(await stage.ask(), "age") == "7"
    stage.wait(3)
    assert field(await stage.ask(), "age") == "10"
