"""respond: fixed answers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.contract import Request, Response
from proxy.errors import GatewayError
from proxy.policies.respond import POLICY, Options, Respond
from tests.unit.policies.world import (
    World,
    a_request,
    answering,
    raise_failure,
    standing,
    upstream_response,
)

PASSED = upstream_response()


async def answered(world: World, request: Request | None = None, **options: Any) -> Response:
    policy = Respond(Options.model_validate(options), world.toolkit)
    return await standing(policy, answering(PASSED))(request or a_request())


@pytest.mark.parametrize(
    ("options", "status", "body", "media"),
    [
        ({}, 200, b"", None),
        ({"status": 404}, 404, b"", None),
        ({"status": 204}, 204, b"", None),
        ({"body": "hi é\n"}, 200, "hi é\n".encode(), "text/plain; charset=utf-8"),
        ({"body": "<p>", "content_type": "text/html"}, 200, b"<p>", "text/html"),
        ({"json": {"a": [1, None]}}, 200, b'{"a":[1,null]}', "application/json"),
        ({"json": None}, 200, b"null", "application/json"),
        ({"json": {}, "content_type": "application/hal+json"}, 200, b"{}", "application/hal+json"),
    ],
)
async def test_the_answer(
    world: World, options: dict[str, Any], status: int, body: bytes, media: str | None
) -> None:
    request = a_request()
    response = await answered(world, request, **options)
    assert (response.status, response.body, response.length) == (status, body, len(body))
    assert response.headers.get("content-type") == media
    assert response.error == ""
    assert request.decisions == [("respond", "answered", str(status))]


async def test_fields_may_be_templates(world: World) -> None:
    response = await answered(world, headers={"X-You": "{client_ip}", "Retry-After": "5"})
    assert list(response.headers.items()) == [("x-you", "192.0.2.7"), ("retry-after", "5")]


async def test_head_tells_the_length_of_get(world: World) -> None:
    response = await answered(world, a_request(method="HEAD"), body="hello")
    assert (response.body, response.length) == (b"", 5)


async def test_each_answer_has_headers_of_its_own(world: World) -> None:
    handler = standing(Respond(Options(body="a"), world.toolkit), answering(PASSED))
    first = await handler(a_request())
    first.headers.set("X-Only", "first")
    assert "x-only" not in (await handler(a_request())).headers


async def test_shadow_mode_notes_and_forwards(world: World) -> None:
    request = a_request()
    assert await answered(world, request, status=403, mode="shadow") is PASSED
    assert request.decisions == [("respond", "would_answer", "403")]


async def test_a_request_that_failed_gets_its_failure(world: World) -> None:
    request = a_request()
    request.failure = GatewayError("body_too_large")
    with pytest.raises(GatewayError, match="body_too_large"):
        await standing(Respond(Options(), world.toolkit), raise_failure)(request)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"status": 101}, "greater than or equal to 200"),
        ({"status": 600}, "less than or equal to 599"),
        ({"body": "a", "json": 1}, "not both"),
        ({"status": 204, "body": "a"}, "has no body"),
        ({"status": 304, "json": {}}, "has no body"),
        ({"content_type": "a\r\nb"}, "control character"),
        ({"headers": {"Content-Length": "1"}}, "frames the message"),
        ({"headers": {"X-A": "{nope}"}}, "nothing is called"),
        ({"json": {1, 2}}, "can't be sent as JSON"),
    ],
)
def test_answers_that_cannot_be_sent_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)


def test_it_answers_and_has_a_short_form() -> None:
    assert POLICY.answers
    assert POLICY.shorthand == "status"
