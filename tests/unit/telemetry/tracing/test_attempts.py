"""What is noted of each time that an endpoint is asked."""

from __future__ import annotations

import asyncio

import pytest

from proxy.contract import LATE, Handler, Request, Response, Timings
from proxy.errors import GatewayError
from proxy.telemetry.tracing.attempts import Noting, attempts_of
from tests.unit.asking import Ask, Client, Prompt, at_once, by_waiting
from tests.unit.policies.world import answering, failing, some_headers, upstream_response

ENDPOINT = "http://127.0.0.1:3000"


def noting(ask: Handler, endpoint: str = ENDPOINT) -> Handler:
    return Noting(ask, endpoint, lambda: 100.5, lambda count: "5" * count)


@pytest.fixture(params=[by_waiting, at_once])
def ask(request: pytest.FixtureRequest) -> Ask:
    """In both ways the same is noted."""
    way: Ask = request.param
    return way


async def test_an_answer_is_noted(request_in: Request, ask: Ask) -> None:
    response = await ask(noting(Prompt(answering(upstream_response(204)))), request_in)
    assert response.status == 204
    [attempt] = attempts_of(request_in)
    assert (attempt.endpoint, attempt.status, attempt.error) == (ENDPOINT, 204, "")
    assert (attempt.began, attempt.ended) == (100.5, 100.5)


@pytest.mark.parametrize(
    ("error", "noted"),
    [
        (GatewayError("upstream_closed"), "upstream_closed"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
async def test_a_failure_is_noted_and_goes_on(
    request_in: Request, ask: Ask, error: Exception, noted: str
) -> None:
    with pytest.raises(type(error)):
        await ask(noting(Prompt(failing(error))), request_in)
    [attempt] = attempts_of(request_in)
    assert (attempt.status, attempt.error, attempt.ended) == (0, noted, 100.5)


@pytest.mark.parametrize(("late", "noted"), [(True, "deadline_exceeded"), (False, "cancelled")])
async def test_what_is_broken_off_when_its_time_is_over_was_late(
    request_in: Request, ask: Ask, late: bool, noted: str
) -> None:
    request_in.state[LATE] = lambda: late
    with pytest.raises(asyncio.CancelledError):
        await ask(noting(Prompt(failing(asyncio.CancelledError()))), request_in)
    assert [attempt.error for attempt in attempts_of(request_in)] == [noted]


async def test_each_attempt_is_noted(request_in: Request, ask: Ask) -> None:
    with pytest.raises(GatewayError):
        await ask(noting(Prompt(failing(GatewayError("upstream_closed"))), ""), request_in)
    await ask(noting(Prompt(answering(upstream_response()), free=False)), request_in)
    assert [attempt.error for attempt in attempts_of(request_in)] == ["upstream_closed", ""]


async def test_a_second_try_beside_the_first_is_noted_with_it(
    request_in: Request, ask: Ask
) -> None:
    twin = request_in.copy()
    twin.state = {}
    await ask(noting(Prompt(answering(upstream_response(204)))), twin)
    assert [attempt.status for attempt in attempts_of(request_in)] == [204]


async def test_what_goes_on_by_itself_is_not(request_in: Request, ask: Ask) -> None:
    aside = request_in.copy()
    aside.timings = Timings(100.0)
    await ask(noting(Prompt(answering(upstream_response(204)))), aside)
    assert not attempts_of(request_in)


async def test_a_client_that_leaves_breaks_off_what_was_asked(request_in: Request) -> None:
    endpoint = Prompt(answering(upstream_response()))
    client = Client(noting(endpoint), request_in)
    client.leave()
    assert endpoint.aborted == ["cancelled"]
    [attempt] = attempts_of(request_in)
    assert (attempt.endpoint, attempt.error, attempt.ended) == (ENDPOINT, "cancelled", 100.5)


async def test_asking_once_more_on_another_connection_is_no_attempt_of_its_own(
    request_in: Request,
) -> None:
    endpoint = Prompt(failing(GatewayError("upstream_closed")), again=True)
    client = Client(noting(endpoint), request_in)
    await asyncio.sleep(0)
    endpoint.handler = answering(upstream_response(204))
    assert (await client.answer()).status == 204
    assert [(each.status, each.error) for each in attempts_of(request_in)] == [(204, "")]


@pytest.mark.parametrize(
    ("flags", "came", "sent"),
    [
        pytest.param(
            2,
            {"traceparent": "00-t-s-02", "b3": "t-s-0"},
            {"traceparent": "00-t-s-02", "b3": "t-s-0"},
            id="not sampled",
        ),
        pytest.param(
            3,
            {"traceparent": "00-t-s-03"},
            {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-5555555555555555-03"},
            id="W3C",
        ),
        pytest.param(
            1,
            {"b3": "t-s-1"},
            {
                "b3": "4bf92f3577b34da6a3ce929d0e0e4736-5555555555555555-1",
                "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-5555555555555555-01",
            },
            id="B3",
        ),
        pytest.param(
            1,
            {"x-b3-spanid": "s", "x-b3-parentspanid": "p"},
            {
                "x-b3-spanid": "5555555555555555",
                "x-b3-parentspanid": "00f067aa0ba902b7",
                "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-5555555555555555-01",
            },
            id="B3 in several",
        ),
    ],
)
async def test_the_upstream_has_the_attempt_for_its_parent(
    request_in: Request, flags: int, came: dict[str, str], sent: dict[str, str]
) -> None:
    request_in.trace = request_in.trace._replace(flags=flags)
    request_in.headers = some_headers(*came.items())
    seen: list[dict[str, str]] = []

    async def ask(request: Request) -> Response:
        seen.append(dict(request.headers.items()))
        return upstream_response()

    await noting(ask)(request_in)
    assert seen == [sent]
