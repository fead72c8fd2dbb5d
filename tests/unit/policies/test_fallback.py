"""fallback: an answer from elsewhere when the upstream has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from pydantic import ValidationError

from proxy.contract import Handler, Request, Response, Target
from proxy.errors import Aborted, GatewayError, Unanswered, Unsent
from proxy.policies.fallback import POLICY, Fallback, Options
from tests.unit.asking import Ask, Prompt, at_once, by_waiting
from tests.unit.policies.cache.stage import Pieces
from tests.unit.policies.world import World, a_request, answering, failing, upstream_response

DOWN = failing(Unsent("circuit_open"))
CANNED = {"status": 200, "json": {"items": []}}
STANDBY = upstream_response(200, ("X-From", "standby"))


async def asked(
    world: World,
    main: Handler,
    standby: Handler | None = None,
    request: Request | None = None,
    **options: Any,
) -> Response:
    def ask(name: str) -> Handler:
        if standby is None or name != "standby":
            raise ValueError(f'unknown upstream "{name}"')
        return standby

    toolkit = replace(world.toolkit, target=Target("main", False), ask=ask)
    policy = Fallback(Options.model_validate(options), toolkit)
    return await asking[0](policy.wrap(Prompt(main)), request or a_request())


asking: Final[list[Ask]] = [by_waiting]
"""How it is asked."""


@pytest.fixture(autouse=True, params=[by_waiting, at_once])
def way(request: pytest.FixtureRequest) -> None:
    """In both ways the same is answered."""
    asking[0] = request.param


async def test_an_answer_is_passed_on(world: World) -> None:
    response = await asked(world, answering(upstream_response(500)), respond=CANNED)
    assert response.status == 500


@pytest.mark.parametrize(
    "code", ["circuit_open", "upstream_unreachable", "upstream_timeout", "pool_exhausted"]
)
async def test_a_failure_is_answered_from_another_upstream(world: World, code: str) -> None:
    request = a_request()
    main = failing(Unanswered(code))
    response = await asked(world, main, answering(STANDBY), request, upstream="standby")
    assert response is STANDBY
    assert request.decisions == [("fallback", "answered", f"standby on {code}")]


async def test_or_by_a_fixed_response(world: World) -> None:
    request = a_request()
    response = await asked(world, DOWN, None, request, respond=CANNED)
    assert (response.status, response.body) == (200, b'{"items":[]}')
    assert request.decisions == [("fallback", "answered", "200 on circuit_open")]


async def test_the_fixed_response_is_for_when_both_fail(world: World) -> None:
    both: dict[str, Any] = {"upstream": "standby", "respond": CANNED, "on": ["failure", "5xx"]}
    for standby in (DOWN, answering(upstream_response(503))):
        assert (await asked(world, DOWN, standby, **both)).body == b'{"items":[]}'
    assert await asked(world, DOWN, answering(STANDBY), **both) is STANDBY


async def test_statuses_that_were_chosen(world: World) -> None:
    main = answering(upstream_response(503))
    assert (await asked(world, main, on="503", respond=CANNED)).status == 200
    assert (await asked(world, main, on=["5xx"], respond=CANNED)).status == 200
    assert (await asked(world, main, on=[502], respond=CANNED)).status == 503
    with pytest.raises(Unsent):
        await asked(world, DOWN, on="503", respond=CANNED)


@pytest.mark.parametrize("standby", [DOWN, failing(Aborted("upstream_closed"))])
async def test_an_answer_that_is_given_up_is_let_go(world: World, standby: Handler) -> None:
    answer, body = upstream_response(503), Pieces(b"busy")
    answer.body = body
    with pytest.raises(GatewayError):
        await asked(world, answering(answer), standby, on="503", upstream="standby")
    assert body.closed


async def test_what_the_client_did_wrong_stays_wrong(world: World) -> None:
    with pytest.raises(GatewayError, match="body_too_large"):
        await asked(world, failing(GatewayError("body_too_large")), respond=CANNED)
    with pytest.raises(Aborted):
        await asked(world, failing(Aborted("upstream_closed")), respond=CANNED)


async def test_a_body_that_was_sent_already_can_not_be_sent_elsewhere(world: World) -> None:
    request = a_request(method="POST")

    class Stream:
        def __aiter__(self) -> Stream:
            return self

        async def __anext__(self) -> bytes:
            raise StopAsyncIteration

        async def aclose(self) -> None:
            return None

    request.body = Stream()
    with pytest.raises(Unsent):
        await asked(world, DOWN, answering(STANDBY), request, upstream="standby")


@pytest.mark.parametrize(
    ("error", "method", "elsewhere"),
    [
        (Unsent("circuit_open"), "POST", True),
        (Unsent("upstream_unreachable"), "POST", True),
        (Unanswered("upstream_closed"), "POST", False),
        (Unanswered("upstream_timeout"), "PATCH", False),
        (GatewayError("upstream_invalid"), "POST", False),
        (Unanswered("upstream_closed"), "DELETE", True),
    ],
)
async def test_what_may_have_been_handled_is_not_sent_to_another_as_well(
    world: World, error: GatewayError, method: str, elsewhere: bool
) -> None:
    both: dict[str, Any] = {"upstream": "standby", "respond": CANNED}
    request = a_request(method=method)
    response = await asked(world, failing(error), answering(STANDBY), request, **both)
    assert (response is STANDBY) is elsewhere
    if not elsewhere:
        request = a_request(method=method)
        with pytest.raises(GatewayError):
            await asked(world, failing(error), answering(STANDBY), request, upstream="standby")


async def test_in_shadow_it_says_that_it_would_answer(world: World) -> None:
    request = a_request()
    with pytest.raises(Unsent):
        await asked(world, DOWN, None, request, respond=CANNED, mode="shadow")
    assert request.decisions == [("fallback", "would_answer", "circuit_open")]


async def test_names_that_lead_nowhere_are_refused(world: World) -> None:
    with pytest.raises(ValueError, match='unknown upstream "stanby"'):
        await asked(world, DOWN, upstream="stanby")
    with pytest.raises(ValueError, match="is the upstream that failed"):
        await asked(world, DOWN, upstream="main")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "nothing to answer with"),
        ({"respond": {"status": 204, "body": "x"}}, "has no body"),
        ({"respond": CANNED, "on": ["5XX"]}, "is no status; write 503 or 5xx"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)


def test_it_stands_outside_of_the_cache_and_of_retries() -> None:
    assert POLICY.before == {"cache", "retry"}
