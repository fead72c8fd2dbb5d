"""redirect: where clients are sent, and that no client can choose the host."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from proxy.contract import Request, Response
from proxy.errors import GatewayError, Refused
from proxy.policies.redirect import POLICY, Options, Redirect
from tests.unit.policies.world import (
    World,
    a_request,
    answering,
    raise_failure,
    standing,
    upstream_response,
)

PASSED = upstream_response()


async def answered(world: World, request: Request, **options: Any) -> Response:
    return await standing(Redirect(Options(**options), world.toolkit), answering(PASSED))(request)


@pytest.mark.parametrize(
    ("to", "target", "location"),
    [
        ("/new", "/old", "/new"),
        ("/new", "/old?a=1&b=%20", "/new?a=1&b=%20"),
        ("/new?x=1", "/old?a=1", "/new?x=1&a=1"),
        ("/new#part", "/old?a=1", "/new?a=1#part"),
        ("https://{host}{path}", "/a/b?c", "https://shop.example/a/b?c"),
        ("{scheme}://www.example.com{path}", "/a", "http://www.example.com/a"),
        ("{path}/", "/a", "/a/"),
        ("/b/{path.rest}", "/a/x", "/b/x/y%20z"),
        ("/find?q={path.rest}", "/a", "/find?q=x/y%20z"),
    ],
)
async def test_where_to(world: World, to: str, target: str, location: str) -> None:
    request = a_request(target, captures={"rest": "x/y z"})
    response = await answered(world, request, to=to)
    assert response.status == 308
    assert response.headers.get_all("location") == [location]
    assert response.body == b""
    assert request.decisions == [("redirect", "answered", location)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_status_is_settable_and_the_query_can_stay_behind(world: World, status: int) -> None:
    response = await answered(
        world, a_request("/a?secret=1"), to="/b", status=status, keep_query=False
    )
    assert (response.status, response.headers.get("location")) == (status, "/b")


@pytest.mark.parametrize(
    ("to", "path", "capture"),
    [
        ("{path}", "//evil.example", ""),
        ("{path}", "/\\evil.example", ""),
        ("{path}", "/\t/evil.example", ""),
        ("/{path.rest}", "/", "/evil.example"),
        ("/{path.rest}", "/", "\\evil.example"),
        ("https://good.example{path}", "@evil.example", ""),
        ("https://good.example{path}", ".evil.example", ""),
        ("https://good.example/{path.rest}", "/", "/evil.example\r\nSet-Cookie: a=1"),
    ],
)
async def test_a_hostile_path_stays_a_path(world: World, to: str, path: str, capture: str) -> None:
    request = a_request("/", captures={"rest": capture})
    request.path = path
    location = (await answered(world, request, to=to)).headers.get("location") or ""
    assert urlsplit(location).hostname in (None, "good.example")
    assert not location.startswith("//")
    assert not set(location) & set("\\\r\n\t ")


@given(path=st.text(max_size=30), capture=st.text(max_size=30), query=st.text(max_size=30))
def test_any_path_gives_an_ascii_location_on_the_same_host(
    path: str, capture: str, query: str
) -> None:
    request = a_request("/", captures={"c": capture})
    request.path, request.query = path, query
    for to in ("{path}", "/{path.c}", "/{path.c}{path}", "/a?b={path.c}"):
        location = Redirect(Options(to=to), World().toolkit).location(request)
        assert location.isascii()
        assert location.isprintable()
        assert " " not in location
        assert "\\" not in location.partition("?")[0]
        assert location[0] == "/"
        assert not location.startswith("//")


@pytest.mark.parametrize(("mode", "outcome"), [("enforce", "refused"), ("shadow", "would_refuse")])
async def test_without_a_host_there_is_nowhere_to_go(world: World, mode: str, outcome: str) -> None:
    request = a_request("/evil.example", host="")
    options = {"to": "https://{host}{path}", "mode": mode}
    if mode == "enforce":
        with pytest.raises(Refused, match="invalid_host"):
            await answered(world, request, **options)
    else:
        assert await answered(world, request, **options) is PASSED
    assert request.decisions == [("redirect", outcome, "invalid_host")]


async def test_shadow_mode_notes_and_forwards(world: World) -> None:
    request = a_request()
    assert await answered(world, request, to="/b", mode="shadow") is PASSED
    assert request.decisions == [("redirect", "would_answer", "/b")]


async def test_a_request_that_failed_is_not_redirected(world: World) -> None:
    request = a_request()
    request.failure = GatewayError("body_too_large")
    handler = standing(Redirect(Options(to="/b"), world.toolkit), raise_failure)
    with pytest.raises(GatewayError, match="body_too_large"):
        await handler(request)


@pytest.mark.parametrize(
    "to",
    [
        "", "new", "//evil.example/", "{path.x}", "{host}/a", "javascript:alert(1)",
        "ftp://a/", "https://", "https:///a", "https://{path}", "https://{path.x}/",
        "https://{path.x}.example.com/", "https://a{path.x}/", "https://a{path}.b/",
        "https://{client_ip}/", "/a\nb", "/{nope}", "https://{host}{path}{path}",
    ],
)  # fmt: skip
def test_a_target_that_could_leave_the_host_to_clients_is_refused(to: str) -> None:
    with pytest.raises(ValidationError):
        Options(to=to)


def test_it_answers_and_has_a_short_form() -> None:
    assert POLICY.answers
    assert POLICY.shorthand == "to"
