"""headers: what the operator sets, adds and removes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.policies.headers import HeaderEditor, Options
from tests.unit.policies.world import World, a_request, upstream_response


def edited_request(world: World, *fields: tuple[str, str], **changes: Any) -> list[tuple[str, str]]:
    request = a_request("/u/7", *fields, captures={"id": "7"})
    request.id = "abc"
    HeaderEditor(Options.model_validate({"request": changes}), world.toolkit).edit_request(request)
    return list(request.headers.items())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"set": {"X-A": "new"}}, [("x-a", "new"), ("x-b", "3")]),
        ({"add": {"X-A": "new"}}, [("x-a", "1"), ("x-a", "2"), ("x-a", "new"), ("x-b", "3")]),
        (
            {"add": {"X-C": ["4", "5"]}},
            [("x-a", "1"), ("x-a", "2"), ("x-b", "3"), ("x-c", "4"), ("x-c", "5")],
        ),
        ({"remove": ["x-A"]}, [("x-b", "3")]),
        ({"remove": ["X-Absent"]}, [("x-a", "1"), ("x-a", "2"), ("x-b", "3")]),
        ({"remove": ["X-A"], "set": {"X-A": "new"}}, [("x-b", "3"), ("x-a", "new")]),
    ],
)
def test_remove_then_set_then_add(
    world: World, changes: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    came = (("X-A", "1"), ("X-B", "3"), ("x-a", "2"))
    assert edited_request(world, *came, **changes) == expected


def test_values_may_tell_of_the_request(world: World) -> None:
    fields = edited_request(
        world, set={"X-Who": "{client_ip} asks {host} for {path.id} ({request_id})"}
    )
    assert fields == [("x-who", "192.0.2.7 asks shop.example for 7 (abc)")]


def test_the_response_has_changes_of_its_own(world: World) -> None:
    options = Options.model_validate(
        {"response": {"set": {"X-User": "{path.id}"}, "remove": ["X-Debug"]}}
    )
    request = a_request("/u/7", captures={"id": "7"})
    response = upstream_response(200, ("X-Debug", "1"), ("X-User", "root"))
    editor = HeaderEditor(options, world.toolkit)
    editor.edit_request(request)
    editor.edit_response(request, response)
    assert list(response.headers.items()) == [("x-user", "7")]
    assert len(request.headers) == 0


def test_a_hostile_value_cannot_end_its_line(world: World) -> None:
    request = a_request("/", captures={"name": "x\r\nEvil: 1\x00\u0085é"})
    options = Options.model_validate({"request": {"set": {"X-Name": "{path.name}"}}})
    HeaderEditor(options, world.toolkit).edit_request(request)
    assert request.headers.fields() == [(b"X-Name", "xEvil: 1é".encode())]


def test_a_clients_own_value_never_survives_an_empty_capture(world: World) -> None:
    fields = edited_request(world, ("X-User", "root"), set={"X-User": "{path.nobody}"})
    assert fields == [("x-user", "")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"request": {"set": {"Content-Length": "5"}}}, "frames the message"),
        ({"request": {"remove": ["transfer-encoding"]}}, "frames the message"),
        ({"response": {"add": {"Connection": "close"}}}, "belongs to one connection"),
        ({"request": {"set": {"Host": "a"}}}, "`host` of the upstream"),
        ({"request": {"set": {"X-Forwarded-For": "a"}}}, "server.trusted_proxies"),
        ({"response": {"remove": ["Via"]}}, "appends itself"),
        ({"request": {"set": {"X Y": "a"}}}, "not a field name"),
        ({"request": {"set": {"X-A": "a\nb"}}}, "control character"),
        ({"request": {"set": {"X-A": "{clientip}"}}}, "did you mean {client_ip}?"),
        ({"request": {"set": {"X-A": "1", "x-a": "2"}}}, "X-A and x-a are the same field"),
        ({"request": {"delete": ["X-A"]}}, "Extra inputs"),
    ],
)
def test_a_change_that_cannot_work_is_refused_with_its_reason(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(changes)
    assert words in str(raised.value)


def test_host_may_be_set_on_a_response(world: World) -> None:
    Options.model_validate({"response": {"set": {"Host": "odd, and harmless"}}})
