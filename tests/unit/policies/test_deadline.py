"""deadline: an answer in time, or none, on a paused clock."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any, Final

import pytest
from pydantic import ValidationError

from proxy.asking import Given
from proxy.contract import DEADLINE, LATE, Request, Response
from proxy.errors import GatewayError
from proxy.policies.deadline import POLICY, Deadline, Options
from tests.unit.asking import Ask, Hearing, Prompt, at_once, by_waiting
from tests.unit.paused_loop import PausedLoop
from tests.unit.policies.world import World, a_request, upstream_response

FIELD = "X-Timeout"


class Drip:
    """A body of a piece each second."""

    def __init__(self) -> None:
        self.closed = False

    def __aiter__(self) -> Drip:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(1.0)
        return b"."

    async def aclose(self) -> None:
        self.closed = True


def answered(
    loop: PausedLoop,
    request: Request,
    takes: float = 0.0,
    body: bytes | Drip = b"",
    fails: Exception | None = None,
    told: list[float] | None = None,
    **options: Any,
) -> Response:
    async def forward(request: Request) -> Response:
        if told is not None:
            told.append(request.state[DEADLINE])
        await asyncio.sleep(takes)
        if fails is not None:
            raise fails
        response = upstream_response(200)
        response.body = body
        return response

    toolkit = replace(World().toolkit, clock=loop.time)
    handler = Deadline(Options.model_validate(options), toolkit).wrap(Prompt(forward))

    async def story() -> Response:
        return await asking[0](handler, request)

    return loop.run(story())


asking: Final[list[Ask]] = [by_waiting]
"""How it is asked."""


@pytest.fixture(autouse=True, params=[by_waiting, at_once])
def way(request: pytest.FixtureRequest) -> None:
    """In both ways the same is in time."""
    asking[0] = request.param


def test_an_answer_in_time_is_passed_on(loop: PausedLoop) -> None:
    request = a_request()
    told: list[float] = []
    assert answered(loop, request, 4.9, told=told, timeout="5s").status == 200
    assert told == [1005.0]


def test_one_that_takes_longer_is_a_504(loop: PausedLoop) -> None:
    request = a_request()
    with pytest.raises(GatewayError) as raised:
        answered(loop, request, 9.0, timeout="5s")
    assert (raised.value.status, raised.value.code) == (504, "deadline_exceeded")
    assert request.decisions == [("deadline", "refused", "deadline_exceeded")]
    assert loop.now == 1005.0


@pytest.mark.parametrize("fails", [None, GatewayError("upstream_closed")])
def test_whoever_is_asked_instead_has_time_of_their_own(
    loop: PausedLoop, fails: Exception | None
) -> None:
    """Else they would be told that next to none is left, of a time that isn't theirs."""
    request = a_request()
    with contextlib.suppress(GatewayError):
        answered(loop, request, 4.9, fails=fails, timeout="5s")
    assert request.state.keys().isdisjoint({DEADLINE, LATE})


@pytest.mark.parametrize("own", [True, False])
def test_what_is_cancelled_learns_whether_the_service_was_late(loop: PausedLoop, own: bool) -> None:
    """A caller's impatience isn't the service's fault, else any caller could open its breaker."""
    told: list[bool] = []

    async def forward(request: Request) -> Response:
        await asyncio.sleep(60)
        raise AssertionError

    class Learns(Hearing):
        def failed(self, ticket: str, request: Request, error: BaseException) -> Given:
            late = request.state.get(LATE)
            told.append(late is not None and late())
            return super().failed(ticket, request, error)

    options = {"timeout": "5s", "header": FIELD, "accept": "any"}
    handler = Deadline(
        Options.model_validate(options), replace(World().toolkit, clock=loop.time)
    ).wrap(Learns(Prompt(forward)))
    request = a_request("/", *([] if own else [(FIELD, "1")]))

    async def story() -> None:
        with pytest.raises(GatewayError, match="deadline_exceeded"):
            await asking[0](handler, request)

    loop.run(story())
    assert told == [own]
    assert request.state.keys().isdisjoint({DEADLINE, LATE}), "whoever is asked now has time"


def test_a_body_has_to_end_in_time_as_well(loop: PausedLoop) -> None:
    body = Drip()
    response = answered(loop, a_request(), 1.0, body, timeout="5s")
    pieces = []

    async def read() -> None:
        assert not isinstance(response.body, bytes)
        async for piece in response.body:
            pieces.append(piece)

    with pytest.raises(GatewayError, match="deadline_exceeded"):
        loop.run(read())
    assert pieces == [b"."] * 3
    assert (loop.now, body.closed) == (1005.0, True)


@pytest.mark.parametrize(
    ("value", "unit", "trusted", "seconds"),
    [
        ("1500", "milliseconds", True, 1.5),
        ("0", "milliseconds", True, 0.0),
        ("99999", "milliseconds", True, 5.0),
        ("1500", "milliseconds", False, 5.0),
        ("soon", "milliseconds", True, 5.0),
        ("-1", "milliseconds", True, 5.0),
        ("1e3", "milliseconds", True, 5.0),
        ("2.5", "seconds", True, 2.5),
        ("1500m", "grpc", True, 1.5),
        ("3S", "grpc", True, 3.0),
        ("3", "grpc", True, 5.0),
    ],
)
def test_a_callers_own_deadline(
    loop: PausedLoop, value: str, unit: str, trusted: bool, seconds: float
) -> None:
    request = a_request("/", (FIELD, value), trusted=trusted)
    with pytest.raises(GatewayError):
        answered(loop, request, 60.0, timeout="5s", header=FIELD, unit=unit)
    assert loop.now - 1000.0 == pytest.approx(seconds)


def test_anybodys_counts_where_that_is_asked_for(loop: PausedLoop) -> None:
    request = a_request("/", (FIELD, "100"))
    with pytest.raises(GatewayError):
        answered(loop, request, 60.0, header=FIELD, accept="any")
    assert loop.now == pytest.approx(1000.1)


def test_without_a_deadline_nothing_is_bounded(loop: PausedLoop) -> None:
    request = a_request()
    assert answered(loop, request, 9999.0, header=FIELD).status == 200
    assert DEADLINE not in request.state


def test_in_shadow_it_says_that_it_would_have_refused(loop: PausedLoop) -> None:
    request = a_request()
    assert answered(loop, request, 9.0, timeout="5s", mode="shadow").status == 200
    assert request.decisions == [("deadline", "would_refuse", "deadline_exceeded")]


def test_it_stands_around_all_tries() -> None:
    assert POLICY.before == {"retry"}
    assert POLICY.shorthand == "timeout"


@pytest.mark.parametrize(
    ("options", "words"),
    [({}, "bounds nothing"), ({"timeout": "0s"}, "greater than 0"), ({"header": "a b"}, "name")],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)
