"""retry: what is sent again, how often, when, and what the service is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.contract import DEADLINE, TRIED, Handler, Request, Response, Target, Toolkit
from proxy.errors import GatewayError, Unanswered, Unsent
from proxy.policies.retry.policy import POLICY, Options, Retry
from tests.unit.asking import Ask, Prompt, at_once, by_waiting
from tests.unit.paused_loop import PausedLoop
from tests.unit.policies.retry.test_replay import Source
from tests.unit.policies.world import World, a_request, upstream_response

UNREACHABLE = Unsent("upstream_unreachable")
CLOSED = Unanswered("upstream_closed")
Outcome = Response | Exception


class Service:
    """Gives these outcomes in turn, the last one for ever, from endpoints a, b, c and so on."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = list(outcomes)
        self.requests: list[dict[str, Any]] = []

    async def __call__(self, request: Request) -> Response:
        request.endpoint = chr(ord("a") + len(self.requests))
        body = request.body
        data = body if isinstance(body, bytes) else b"".join([piece async for piece in body])
        self.requests.append(
            {
                "body": data,
                "attempt": request.headers.get("x-attempt-count"),
                "tried": set(request.state.get(TRIED, ())),
            }
        )
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def run(work: Awaitable[Response]) -> Response:
    """A coroutine of what may be any awaitable."""
    return await work


class Stage:
    """The policy on a paused clock. asking: how the service is asked. kept: what outlives it."""

    def __init__(self, loop: PausedLoop, asking: Ask) -> None:
        self.asking = asking
        self.world = World()
        self.loop = loop
        self.kept: dict[str, Any] = {}

        def keep(key: str, make: Any) -> Any:
            return self.kept.setdefault(key, make())

        self.toolkit: Toolkit = replace(
            self.world.toolkit, clock=loop.time, target=Target("users", True), keep=keep
        )

    def policy(self, **options: Any) -> Retry:
        return Retry(Options.model_validate(options), self.toolkit)

    def ask(self, service: Handler, request: Request | None = None, **options: Any) -> Response:
        handler = self.policy(**options).wrap(
            service if self.asking is by_waiting else Prompt(service)
        )
        return self.loop.run(run(self.asking(handler, request or a_request())))

    @property
    def counts(self) -> dict[tuple[str, ...], float]:
        return {key: cell.value for key, cell in self.world.journal.counts.items() if cell.value}


@pytest.fixture(params=[by_waiting, at_once])
def stage(loop: PausedLoop, request: pytest.FixtureRequest) -> Stage:
    """In both ways the same is sent again."""
    return Stage(loop, request.param)


# -- what is sent again ---------------------------------------------------------------------------


def test_a_success_is_taken_as_it_is(stage: Stage) -> None:
    service = Service(upstream_response(200))
    assert stage.ask(service).status == 200
    assert service.requests == [{"body": b"", "attempt": None, "tried": set()}]
    assert stage.loop.now == 1000.0


def test_another_endpoint_is_asked_and_the_service_told_which_try_it_is(stage: Stage) -> None:
    service = Service(UNREACHABLE, CLOSED, upstream_response(200))
    request = a_request()
    assert stage.ask(service, request).status == 200
    assert [asked["tried"] for asked in service.requests] == [set(), {"a"}, {"a", "b"}]
    assert [asked["attempt"] for asked in service.requests] == [None, "2", "3"]
    assert [tuple(decision) for decision in request.decisions] == [
        ("retry", "changed", "try 2 on connect"),
        ("retry", "changed", "try 3 on reset"),
    ]
    assert stage.counts == {
        ("sidegate_retries_total", "users", "connect"): 1,
        ("sidegate_retries_total", "users", "reset"): 1,
    }


def test_the_last_failure_is_the_answer(stage: Stage) -> None:
    service = Service(UNREACHABLE, CLOSED, Unanswered("upstream_closed", cause="third"))
    with pytest.raises(Unanswered) as raised:
        stage.ask(service)
    assert raised.value.cause == "third"
    assert len(service.requests) == 3
    assert stage.counts["sidegate_retries_denied_total", "users", "attempts"] == 1


def test_a_post_that_may_have_been_handled_is_not_sent_twice(stage: Stage) -> None:
    service = Service(CLOSED)
    with pytest.raises(Unanswered):
        stage.ask(service, a_request(method="POST"))
    assert len(service.requests) == 1


def test_a_post_that_was_not_sent_may_be_sent(stage: Stage) -> None:
    service = Service(UNREACHABLE, upstream_response(201))
    assert stage.ask(service, a_request(method="POST")).status == 201


def test_a_post_is_sent_twice_where_the_route_says_so(stage: Stage) -> None:
    service = Service(CLOSED, upstream_response(201))
    assert stage.ask(service, a_request(method="POST"), methods=["POST"]).status == 201


def test_statuses_that_were_chosen(stage: Stage) -> None:
    first = upstream_response(503)
    first.body = source = Source(b"unread")
    service = Service(first, upstream_response(502), upstream_response(200))
    assert stage.ask(service, on=[503, "502"]).status == 200
    assert source.closed, "a body that nobody reads holds a connection"


def test_a_status_that_persists_is_passed_on(stage: Stage) -> None:
    service = Service(upstream_response(503))
    assert stage.ask(service, on="503", attempts=2).status == 503
    assert len(service.requests) == 2


def test_nothing_is_retried_that_was_not_chosen(stage: Stage) -> None:
    assert stage.ask(Service(upstream_response(503), upstream_response(200))).status == 503
    with pytest.raises(GatewayError):
        stage.ask(Service(Unanswered("upstream_timeout"), upstream_response(200)))


# -- bodies ----------------------------------------------------------------------------------------


def test_a_whole_body_is_sent_again(stage: Stage) -> None:
    request = a_request(method="PUT")
    request.body = b"whole"
    service = Service(CLOSED, upstream_response(200))
    stage.ask(service, request)
    assert [asked["body"] for asked in service.requests] == [b"whole", b"whole"]


def test_a_streamed_body_is_sent_again_while_it_is_small(stage: Stage) -> None:
    request = a_request(method="PUT")
    request.body = Source(b"ab", b"cd")
    service = Service(CLOSED, upstream_response(200))
    assert stage.ask(service, request, body="4B").status == 200
    assert [asked["body"] for asked in service.requests] == [b"abcd", b"abcd"]


def test_a_large_streamed_body_is_sent_once(stage: Stage) -> None:
    request = a_request(method="PUT")
    request.body = Source(b"ab", b"cde")
    service = Service(CLOSED, upstream_response(200))
    with pytest.raises(Unanswered):
        stage.ask(service, request, body="4B")
    assert [asked["body"] for asked in service.requests] == [b"abcde"]
    assert stage.counts["sidegate_retries_denied_total", "users", "body"] == 1


# -- when ------------------------------------------------------------------------------------------


def test_waits_are_drawn_from_a_bound_that_doubles_up_to_the_greatest(stage: Stage) -> None:
    stage.toolkit = replace(stage.toolkit, random=lambda count: b"\xff" * count)
    service = Service(CLOSED)
    with pytest.raises(Unanswered):
        stage.ask(service, attempts=6, backoff={"base": "100ms", "max": "500ms"})
    assert stage.loop.now - 1000.0 == pytest.approx(0.1 + 0.2 + 0.4 + 0.5 + 0.5, abs=0.01)


def test_the_draw_may_be_no_wait_at_all(stage: Stage) -> None:
    stage.toolkit = replace(stage.toolkit, random=bytes)
    stage.ask(Service(CLOSED, upstream_response(200)))
    assert stage.loop.now == 1000.0


def test_a_service_that_asks_for_patience_gets_it(stage: Stage) -> None:
    service = Service(upstream_response(503, ("Retry-After", "1")), upstream_response(200))
    assert stage.ask(service, on="503").status == 200
    assert stage.loop.now == pytest.approx(1001.0)


def test_one_that_asks_for_more_than_there_is_is_left_alone(stage: Stage) -> None:
    service = Service(upstream_response(503, ("Retry-After", "60")), upstream_response(200))
    assert stage.ask(service, on="503").status == 503
    assert stage.counts["sidegate_retries_denied_total", "users", "retry_after"] == 1


def test_nobody_is_asked_whose_answer_would_come_too_late(stage: Stage) -> None:
    stage.toolkit = replace(stage.toolkit, random=lambda count: b"\xff" * count)
    request = a_request()
    request.state[DEADLINE] = 1000.02
    with pytest.raises(Unanswered):
        stage.ask(Service(CLOSED, upstream_response(200)), request)
    assert stage.counts["sidegate_retries_denied_total", "users", "deadline"] == 1


# -- the budget ------------------------------------------------------------------------------------


def test_when_everything_fails_retries_are_a_share_of_the_requests(stage: Stage) -> None:
    service = Service(CLOSED)
    policy = stage.policy(budget={"share": "20%", "least": "1/10s"}, backoff={"base": "0s"})
    handler = policy.wrap(service)

    async def story() -> None:
        for _ in range(200):
            with pytest.raises(Unanswered):
                await handler(a_request())

    stage.loop.run(story())
    assert len(service.requests) in (240, 241)
    assert stage.counts["sidegate_retries_denied_total", "users", "budget"] >= 160


def test_routes_of_one_upstream_share_a_budget(stage: Stage) -> None:
    budget = {"share": "0%", "least": "1/10s"}
    services = [Service(CLOSED), Service(CLOSED)]
    for service in services:
        with pytest.raises(Unanswered):
            stage.ask(service, budget=budget)
    assert [len(service.requests) for service in services] == [2, 1]


# -- shadow and options ---------------------------------------------------------------------------


def test_in_shadow_it_says_what_it_would_do(stage: Stage) -> None:
    service, request = Service(CLOSED), a_request()
    with pytest.raises(Unanswered):
        stage.ask(service, request, mode="shadow")
    assert len(service.requests) == 1
    assert [tuple(decision) for decision in request.decisions] == [
        ("retry", "would_change", "retry on reset")
    ]


def test_a_single_attempt_costs_nothing(stage: Stage) -> None:
    service = Service(upstream_response(200))
    assert stage.policy(attempts=1).wrap(service) is service


def test_what_clients_say_about_tries_is_taken_out(stage: Stage) -> None:
    service = Service(upstream_response(200))
    stage.ask(service, a_request("/", ("X-Attempt-Count", "9")))
    assert service.requests[0]["attempt"] is None


def test_another_field_or_none(stage: Stage) -> None:
    for options in ({"header": "X-Try"}, {"header": None}):
        request = a_request()
        stage.ask(Service(CLOSED, upstream_response(200)), request, **options)
        assert request.headers.get("x-attempt-count") is None
        assert request.headers.get("x-try") == ("2" if options["header"] else None)


def test_it_stands_by_default_where_there_are_several_endpoints() -> None:
    assert POLICY.default
    assert POLICY.idle(Options(), Target("users", False))
    assert not POLICY.idle(Options(), Target("users", True))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attempts": 0}, "greater than or equal to 1"),
        ({"on": ["conect"]}, "nothing to retry on"),
        ({"header": "Host"}, "can't be changed here"),
        ({"hedge": "p99"}, "2h or 1d; or p95"),
        ({"hedge": "0s"}, "must be p95, or a duration"),
        ({"backoff": {"base": "2s", "max": "1s"}}, "must be at least"),
        ({"budget": {"share": 0.2}}, "percent sign"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)


# -- hedging ---------------------------------------------------------------------------------------


class Slow:
    """A service whose endpoints take these seconds each; cancelled: those that were broken off."""

    def __init__(self, *seconds: float, fails: str = "", errs: str = "") -> None:
        self._seconds = seconds
        self._fails = fails
        self._errs = errs
        self.asked: list[set[str]] = []
        self.cancelled: list[str] = []

    async def __call__(self, request: Request) -> Response:
        number = len(self.asked)
        name = request.endpoint = chr(ord("a") + number)
        self.asked.append(set(request.state.get(TRIED, ())))
        try:
            await asyncio.sleep(self._seconds[min(number, len(self._seconds) - 1)])
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        if name in self._fails:
            raise CLOSED
        return upstream_response(503 if name in self._errs else 200, ("X-From", name))


def hedged(stage: Stage, service: Slow, request: Request | None = None, **options: Any) -> str:
    asked = request or a_request()
    response = stage.ask(service, asked, **{"attempts": 1, "hedge": "100ms", **options})
    assert asked.endpoint == response.headers.get("x-from")
    return asked.endpoint


def test_a_quick_answer_is_not_hedged(stage: Stage) -> None:
    service = Slow(0.05)
    assert hedged(stage, service) == "a"
    assert len(service.asked) == 1


def test_the_second_wins_and_the_first_is_broken_off(stage: Stage) -> None:
    service, request = Slow(9.0, 0.1), a_request()
    assert hedged(stage, service, request) == "b"
    assert service.asked == [set(), {"a"}]
    assert service.cancelled == ["a"]
    assert stage.loop.now == pytest.approx(1000.2)
    assert stage.counts == {("sidegate_hedges_total", "users", "second"): 1}
    assert ("retry", "changed", "hedged") in [tuple(decision) for decision in request.decisions]


def test_the_first_may_win_after_all(stage: Stage) -> None:
    service = Slow(0.15, 9.0)
    assert hedged(stage, service) == "a"
    assert service.cancelled == ["b"]
    assert stage.counts == {("sidegate_hedges_total", "users", "first"): 1}


def test_a_failure_of_one_leaves_it_to_the_other(stage: Stage) -> None:
    assert hedged(stage, Slow(0.5, 0.1, fails="b")) == "a"
    with pytest.raises(Unanswered):
        hedged(stage, Slow(0.5, 0.1, fails="ab"))


def test_a_quick_failure_does_not_win_over_a_slow_answer(stage: Stage) -> None:
    assert hedged(stage, Slow(0.5, 0.1, errs="b")) == "a"
    assert hedged(stage, Slow(0.5, 0.1, errs="a")) == "b"
    assert hedged(stage, Slow(0.5, 0.1, errs="ab")) == "a", "the last of two failures"
    assert hedged(stage, Slow(0.5, 0.1, fails="b", errs="a")) == "a", "rather than no answer"


def test_the_second_avoids_all_that_were_tried(stage: Stage) -> None:
    service, request = Slow(0.5, 0.1), a_request()
    request.state[TRIED] = {"z"}
    hedged(stage, service, request)
    assert service.asked[1] == {"z", "a"}


def test_requests_add_to_the_budget_of_hedges(stage: Stage) -> None:
    service = Slow(0.5)
    handler = stage.policy(
        attempts=1, hedge="100ms", budget={"share": "20%", "least": "1/100s"}
    ).wrap(service)

    async def story() -> None:
        for _ in range(10):
            await handler(a_request())

    stage.loop.run(story())
    assert len(service.asked) == 12


def test_a_post_is_never_hedged(stage: Stage) -> None:
    service = Slow(0.5)
    hedged(stage, service, a_request(method="POST"), methods=["POST"])
    assert len(service.asked) == 1


def test_a_handshake_is_never_hedged(stage: Stage) -> None:
    service, request = Slow(0.5), a_request()
    request.upgrade = "websocket"
    hedged(stage, service, request)
    assert len(service.asked) == 1


def test_hedges_count_in_the_budget(stage: Stage) -> None:
    service = Slow(0.5)
    hedged(stage, service, budget={"share": "0%", "least": "1/20s"})
    assert len(service.asked) == 1


def test_by_p95_nothing_is_hedged_before_enough_is_known(stage: Stage) -> None:
    service = Slow(*[0.1] * 40, 5.0, 0.1)
    handler = stage.policy(attempts=1, hedge="p95").wrap(service)

    async def story() -> float:
        for _ in range(40):
            await handler(a_request())
        assert len(service.asked) == 40
        before = stage.loop.now
        await handler(a_request())
        return stage.loop.now - before

    assert stage.loop.run(story()) == pytest.approx(0.2, rel=0.2)
    assert len(service.asked) == 42


def test_a_client_that_leaves_ends_both(stage: Stage) -> None:
    service = Slow(9.0)
    handler = stage.policy(attempts=1, hedge="100ms").wrap(service)

    async def story() -> None:
        task = stage.loop.create_task(run(handler(a_request())))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    stage.loop.run(story())
    assert service.cancelled == ["a", "b"]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_client_that_leaves_while_a_try_is_ending_is_heard(stage: Stage, streaming: bool) -> None:
    """The end of the try is not taken for the client's, nor the client's for that of the try."""
    body = Source(b"x")

    async def service(request: Request) -> Response:
        try:
            await asyncio.sleep(0.1 if TRIED in request.state else 9.0)
        except asyncio.CancelledError:
            await asyncio.sleep(1.0)
            raise
        response = upstream_response(200)
        if streaming:
            response.body = body
        return response

    handler = stage.policy(attempts=1, hedge="100ms").wrap(service)

    async def story() -> None:
        task = stage.loop.create_task(run(handler(a_request())))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    stage.loop.run(story())
    assert body.closed is streaming


def test_how_a_dropped_try_ends_is_nobodys_concern(stage: Stage) -> None:
    class Confused(Slow):
        async def __call__(self, request: Request) -> Response:
            try:
                return await super().__call__(request)
            except asyncio.CancelledError:
                raise RuntimeError from None

    assert hedged(stage, Confused(9.0, 0.1)) == "b"
