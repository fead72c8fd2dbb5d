"""One try with a bounded time, on a paused clock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.config.upstream import UpstreamTimeouts
from proxy.contract import DEADLINE, Request, Response
from proxy.errors import GatewayError, Unanswered
from proxy.upstream.timed import TimedTry
from tests.unit.asking import Ask, Prompt, at_once, by_waiting
from tests.unit.paused_loop import PausedLoop
from tests.unit.policies.world import a_request, upstream_response

FIELD = "X-Request-Timeout-Ms"


@pytest.fixture(params=[by_waiting, at_once])
def ask(request: pytest.FixtureRequest) -> Ask:
    """In both ways the same is in time, and told."""
    way: Ask = request.param
    return way


def told(
    loop: PausedLoop, ask: Ask, request: Request, fails: bool = False, **options: Any
) -> str | None:
    """What the service is told."""
    seen: list[str | None] = []

    async def serve(request: Request) -> Response:
        seen.append(request.headers.get(FIELD.lower()))
        await asyncio.sleep(0.5)
        if fails:
            raise GatewayError("upstream_closed")
        return upstream_response(200)

    async def story() -> None:
        timeouts = UpstreamTimeouts.model_validate(options)
        await ask(TimedTry(Prompt(serve), timeouts, loop.time), request)

    if fails:
        with pytest.raises(GatewayError):
            loop.run(story())
    else:
        loop.run(story())
    return seen[0]


def test_a_try_in_time_is_passed_on(loop: PausedLoop, ask: Ask) -> None:
    assert told(loop, ask, a_request(), per_try="1s") is None


def test_a_try_that_takes_too_long_may_have_been_handled(loop: PausedLoop, ask: Ask) -> None:
    with pytest.raises(Unanswered) as raised:
        told(loop, ask, a_request(), per_try="400ms")
    assert raised.value.code == "upstream_timeout"
    assert loop.now == pytest.approx(1000.4)


@pytest.mark.parametrize(
    ("deadline", "per_try", "value"),
    [
        (None, "2s", "2000"),
        (1001.25, "2s", "1250"),
        (1003.0, "2s", "2000"),
        (1003.0, None, "3000"),
        (999.0, "2s", "1"),
        (None, None, None),
    ],
)
def test_the_service_is_told_what_is_left(
    loop: PausedLoop,
    ask: Ask,
    deadline: float | None,
    per_try: str | None,
    value: str | None,
) -> None:
    request = a_request("/", (FIELD, "99999999"))
    if deadline is not None:
        request.state[DEADLINE] = deadline
    assert told(loop, ask, request, per_try=per_try, tell=FIELD) == value


@pytest.mark.parametrize("fails", [True, False])
def test_whoever_is_asked_instead_is_not_told(loop: PausedLoop, ask: Ask, fails: bool) -> None:
    """A fallback, say, which has no bounded time."""
    request = a_request()
    assert told(loop, ask, request, fails, per_try="2s", tell=FIELD) == "2000"
    assert FIELD.lower() not in request.headers
