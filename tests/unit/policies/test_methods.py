"""methods: what else a client may not use, and is told."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.errors import Refused
from proxy.policies.methods import POLICY, Methods, Options
from tests.unit.policies.world import World, a_request


@pytest.mark.parametrize(
    ("allow", "method", "told"),
    [
        (["GET", "POST"], "GET", None),
        (["GET", "POST"], "HEAD", None),
        (["GET", "POST"], "POST", None),
        (["GET", "POST"], "DELETE", "GET, HEAD, POST"),
        (["POST"], "GET", "POST"),
        ("POST", "HEAD", "POST"),
        (["HEAD", "GET"], "PUT", "HEAD, GET"),
        (["PURGE", "M-SEARCH"], "M-SEARCH", None),
    ],
)
def test_which_methods_come_in(world: World, allow: Any, method: str, told: str | None) -> None:
    policy = Methods(Options.model_validate({"allow": allow}), world.toolkit)
    if told is None:
        policy.check(a_request(method=method))
        return
    with pytest.raises(Refused) as raised:
        policy.check(a_request(method=method))
    assert (raised.value.status, raised.value.code) == (405, "method_not_allowed")
    assert raised.value.headers == (("Allow", told),)


@pytest.mark.parametrize("field", ["X-HTTP-Method-Override", "x-http-method", "X-Method-Override"])
def test_what_a_field_names_has_to_be_allowed_too(world: World, field: str) -> None:
    policy = Methods(Options(allow=("GET", "POST", "PATCH")), world.toolkit)
    for value in ("PATCH", "patch", " POST ", "HEAD"):
        policy.check(a_request("/", (field, value), method="POST"))
    for value in ("DELETE", "delete", "PATCH, DELETE", ""):
        with pytest.raises(Refused):
            policy.check(a_request("/", (field, value), method="POST"))
    lenient = Methods(Options(allow=("POST",), overrides="pass"), world.toolkit)
    lenient.check(a_request("/", (field, "DELETE"), method="POST"))


@pytest.mark.parametrize(
    ("allow", "words"),
    [
        ([], "at least 1 entry"),
        (["get"], "written in capitals: GET"),
        (["GET POST"], "is no method"),
        (["TRACE"], "refused always"),
        (["CONNECT"], "refused always"),
    ],
)
def test_methods_that_cannot_be_meant_are_refused(allow: list[str], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options(allow=tuple(allow))
    assert words in str(raised.value)


def test_it_has_a_short_form() -> None:
    assert POLICY.shorthand == "allow"
