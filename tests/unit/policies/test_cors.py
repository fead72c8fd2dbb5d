"""cors: which pages may read what, and what their browsers are told beforehand."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.contract import Response
from proxy.errors import GatewayError
from proxy.policies.cors import POLICY, Cors, Options
from tests.unit.policies.world import (
    World,
    a_request,
    answering,
    raise_failure,
    standing,
    upstream_response,
)

APP = "https://app.example.com"
OTHER = "https://evil.test"


async def asked(
    world: World,
    *fields: tuple[str, str],
    method: str = "GET",
    response: Response | None = None,
    **options: Any,
) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """The fields of the answer, and what was decided."""
    policy = Cors(Options.model_validate({"origins": APP, **options}), world.toolkit)
    request = a_request("/x", *fields, method=method)
    answer = await standing(policy, answering(response or upstream_response()))(request)
    return dict(answer.headers.items()), list(request.decisions)


def preflight(origin: str = APP, method: str = "PUT", **more: str) -> list[tuple[str, str]]:
    extra = [(name.replace("_", "-"), value) for name, value in more.items()]
    return [("Origin", origin), ("Access-Control-Request-Method", method), *extra]


async def test_a_listed_origin_may_read(world: World) -> None:
    fields, decisions = await asked(world, ("Origin", APP))
    assert fields == {"access-control-allow-origin": APP, "vary": "Origin"}
    assert decisions == []


async def test_another_is_told_nothing(world: World) -> None:
    fields, _ = await asked(world, ("Origin", OTHER))
    assert fields == {"vary": "Origin"}


async def test_a_cache_is_told_even_where_no_origin_came(world: World) -> None:
    fields, _ = await asked(world)
    assert fields == {"vary": "Origin"}


@pytest.mark.parametrize(
    ("came", "left"),
    [
        ("Accept-Encoding", "Accept-Encoding, Origin"),
        ("origin", "origin"),
        ("Accept, ORIGIN", "Accept, ORIGIN"),
        ("*", "*"),
    ],
)
async def test_what_the_service_varies_by_stays(world: World, came: str, left: str) -> None:
    response = upstream_response(200, ("Vary", came))
    fields, _ = await asked(world, ("Origin", APP), response=response)
    assert fields["vary"] == left


async def test_any_origin_needs_no_vary(world: World) -> None:
    fields, _ = await asked(world, ("Origin", OTHER), origins="*")
    assert fields == {"access-control-allow-origin": "*"}


async def test_credentials_and_exposed_fields(world: World) -> None:
    options: dict[str, Any] = {"credentials": True, "expose": ["X-Total", "ETag"]}
    fields, _ = await asked(world, ("Origin", APP), **options)
    assert fields == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "X-Total, ETag",
        "vary": "Origin",
    }
    fields, _ = await asked(world, ("Origin", OTHER), **options)
    assert fields == {"vary": "Origin"}


async def test_the_service_s_own_word_is_replaced(world: World) -> None:
    loose = upstream_response(
        200,
        ("Access-Control-Allow-Origin", OTHER),
        ("Access-Control-Allow-Credentials", "true"),
        ("X-Kept", "yes"),
    )
    fields, _ = await asked(world, ("Origin", OTHER), response=loose)
    assert fields == {"x-kept": "yes", "vary": "Origin"}


async def test_a_preflight_is_answered(world: World) -> None:
    fields, decisions = await asked(
        world, *preflight(Access_Control_Request_Headers="x-a"), method="OPTIONS"
    )
    assert fields == {
        "access-control-allow-origin": APP,
        "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers": "Content-Type",
        "access-control-max-age": "600",
        "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    }
    assert decisions == [("cors", "answered", "preflight")]


async def test_a_preflight_of_another_origin_gets_no_leave(world: World) -> None:
    fields, decisions = await asked(world, *preflight(OTHER), method="OPTIONS")
    assert list(fields) == ["vary"]
    assert decisions == [("cors", "answered", "preflight")]


@pytest.mark.parametrize(
    ("wanted", "allowed"),
    [
        ("x-a, x-b", "x-a, x-b"),
        ("x-a,x-b", "x-a,x-b"),
        ("x a", "Content-Type"),
        ("x-a\x7f", "Content-Type"),
        ("", "Content-Type"),
        (",", "Content-Type"),
        ("x" * 2000, "Content-Type"),
    ],
)
async def test_any_field_is_what_was_asked_for_and_is_one(
    world: World, wanted: str, allowed: str
) -> None:
    fields, _ = await asked(
        world,
        *preflight(Access_Control_Request_Headers=wanted),
        method="OPTIONS",
        headers=["*", "Content-Type"],
        credentials=True,
    )
    assert fields["access-control-allow-headers"] == allowed


async def test_an_options_request_that_is_no_preflight_is_forwarded(world: World) -> None:
    for fields in ([("Origin", APP)], [("Access-Control-Request-Method", "PUT")], []):
        _, decisions = await asked(world, *fields, method="OPTIONS")
        assert decisions == []
    _, decisions = await asked(world, *preflight(), method="GET")
    assert decisions == []


async def test_shadow_mode_changes_nothing(world: World) -> None:
    loose = upstream_response(200, ("Access-Control-Allow-Origin", "*"))
    fields, decisions = await asked(world, ("Origin", APP), response=loose, mode="shadow")
    assert fields == {"access-control-allow-origin": "*"}
    assert decisions == [("cors", "would_change", "response headers")]
    fields, decisions = await asked(world, *preflight(), method="OPTIONS", mode="shadow")
    assert fields == {}
    assert decisions == [("cors", "would_answer", "preflight")]


async def test_a_request_that_failed_gets_its_failure(world: World) -> None:
    request = a_request("/x", *preflight(), method="OPTIONS")
    request.failure = GatewayError("route_not_found")
    with pytest.raises(GatewayError, match="route_not_found"):
        await standing(Cors(Options(origins=(APP,)), world.toolkit), raise_failure)(request)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"origins": []}, "at least 1 entry"),
        ({"origins": ["app.example.com"]}, "is no origin"),
        ({"origins": ["*", APP]}, "`*` stands for any origin"),
        ({"origins": "*", "credentials": True}, "would let any page act for any user"),
        ({"origins": APP, "expose": "*", "credentials": True}, "write out the fields"),
        ({"origins": "null", "credentials": True}, "any page can make itself `null`"),
        ({"origins": APP, "headers": ["a b"]}, "is not a field name"),
    ],
)
def test_options_that_give_too_much_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)


def test_it_takes_preflights_and_has_a_short_form() -> None:
    assert POLICY.preflights
    assert POLICY.shorthand == "origins"
