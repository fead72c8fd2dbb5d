"""rewrite: target, path and query stay in step, and nothing climbs out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from proxy.contract import Request
from proxy.errors import Refused
from proxy.http1.target import decode_path
from proxy.policies.rewrite import Options, Rewrite
from tests.unit.policies.world import World, a_request


def rewritten(world: World, request: Request, **options: Any) -> Request:
    Rewrite(Options.model_validate(options), world.toolkit).edit_request(request)
    return request


@pytest.mark.parametrize(
    ("target", "options", "expected"),
    [
        ("/api/users", {"strip_prefix": "/api"}, "/users"),
        ("/api/users?a=1", {"strip_prefix": "/api/"}, "/users?a=1"),
        ("/api", {"strip_prefix": "/api"}, "/"),
        ("/api/", {"strip_prefix": "/api"}, "/"),
        ("/apix/users", {"strip_prefix": "/api"}, "/apix/users"),
        ("/%61pi/users", {"strip_prefix": "/api"}, "/users"),
        ("/api/caf%c3%a9%2Fx", {"strip_prefix": "/api"}, "/caf%c3%a9%2Fx"),
        ("/api//users", {"strip_prefix": "/api"}, "/users"),
        ("/a/b/c", {"strip_prefix": "/a/b"}, "/c"),
        ("/users", {"add_prefix": "/v1"}, "/v1/users"),
        ("/", {"add_prefix": "/v1"}, "/v1/"),
        ("/us%20ers", {"add_prefix": "/é v"}, "/%C3%A9%20v/us%20ers"),
        ("/api/x", {"strip_prefix": "/api", "add_prefix": "/v2"}, "/v2/x"),
        ("/shop/old?q", {"regex": r"^/(\w+)/old$", "replacement": r"/\1/new"}, "/shop/new?q"),
        ("/a%20b", {"regex": "a", "replacement": "?#"}, "/%3F%23%20b"),
        ("/%C3%BC", {"regex": "$", "replacement": "/é"}, "/%C3%BC/%C3%A9"),
        ("/x", {"regex": "no", "replacement": "y"}, "/x"),
        ("/a/a", {"regex": "a", "replacement": "b"}, "/b/a"),
        ("/go/there", {"regex": "^/go", "replacement": "//evil"}, "/evil/there"),
        ("/go", {"regex": "^/go", "replacement": ""}, "/"),
        ("/old?a=1", {"path": "/new"}, "/new?a=1"),
        ("/old", {"path": "/u/{path.id}"}, "/u/a%20b%3F%2523"),
        ("/a%20b", {"path": "{path}/x"}, "/a%20b/x"),
        ("/a?b=1", {"query": {"remove": ["b"]}}, "/a"),
        ("/a?b=1&c=%20&&b", {"query": {"remove": ["b"]}}, "/a?c=%20"),
        ("/a?%62=1&c", {"query": {"set": {"b": "x&y z"}}}, "/a?c&b=x%26y%20z"),
        ("/a", {"query": {"set": {"id": "{path.id}"}}}, "/a?id=a%20b%3F%2523"),
    ],
)
def test_what_is_asked_of_the_upstream(
    world: World, target: str, options: dict[str, Any], expected: str
) -> None:
    request = a_request(target, captures={"id": "a b?%23"})
    request.path = decode_path(request.path)
    rewritten(world, request, **options)
    assert request.target == expected.encode()
    path, _, query = expected.partition("?")
    assert request.path == decode_path(path)
    assert request.query == query


@pytest.mark.parametrize("capture", ["..", "../..", ".", "a/../../b", "..\\..", "\x00.\x01."])
def test_a_capture_cannot_climb(world: World, capture: str) -> None:
    request = a_request("/files/x", captures={"name": capture})
    with pytest.raises(Refused) as raised:
        rewritten(world, request, path="/public/{path.name}")
    assert raised.value.code == "invalid_target"
    assert raised.value.status == 400
    assert request.decisions[0].outcome == "refused"


def test_the_asterisk_of_options_is_no_path(world: World) -> None:
    request = Request("OPTIONS", b"*", "*", "", a_request().headers)
    rewritten(world, request, add_prefix="/v1")
    assert request.target == b"*"


def test_a_request_that_could_not_be_read_is_left_alone(world: World) -> None:
    request = Request("", b"", "", "", a_request().headers)
    rewritten(world, request, path="/new", query={"set": {"a": "1"}})
    assert request.target == b""


@given(capture=st.text(max_size=30), query=st.text(st.characters(codec="ascii"), max_size=20))
def test_any_capture_gives_an_origin_form_target(capture: str, query: str) -> None:
    request = a_request("/x", captures={"c": capture})
    request.query = query
    try:
        rewritten(World(), request, path="/{path.c}", query={"set": {"{": "{path.c}"}})
    except Refused:
        return
    path, _, _ = request.target.partition(b"?")
    assert path.startswith(b"/")
    assert not path.startswith(b"//")
    assert not set(path) & set(b" \t\r\n\x00?#\\")
    assert request.target.partition(b"?")[2].decode() == request.query


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "nothing to rewrite"),
        ({"path": "/a", "add_prefix": "/b"}, "leave out prefixes"),
        ({"path": "a"}, "begins with one slash"),
        ({"path": "//a"}, "begins with one slash"),
        ({"path": "/a?b=1"}, "use `query`"),
        ({"path": "/{path.1d}"}, "path.NAME"),
        ({"path": "/100%"}, "write %25"),
        ({"strip_prefix": "api"}, "such as /api"),
        ({"strip_prefix": "/"}, "leave it out"),
        ({"add_prefix": "/a%20b"}, "without percent signs"),
        ({"regex": "a"}, "need each other"),
        ({"replacement": "a"}, "need each other"),
        ({"regex": "(", "replacement": ""}, "not a regular expression"),
        ({"regex": "a", "replacement": "\\1"}, "invalid group reference"),
        ({"regex": "a", "replacement": "\\g<x>"}, "doesn't fit"),
        ({"query": {"set": {"a": "{nope}"}}}, "nothing is called {nope}"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)
