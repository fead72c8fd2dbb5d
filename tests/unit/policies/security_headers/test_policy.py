"""security_headers: what is added, what is left alone, and what is taken out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.contract import Response
from proxy.policies.security_headers.options import Options
from proxy.policies.security_headers.policy import SecurityHeaders
from tests.unit.policies.world import World, a_request, upstream_response

ADDED_BY_SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "strict-origin-when-cross-origin",
    "x-permitted-cross-domain-policies": "none",
}


def passed(
    world: World, response: Response, *, scheme: str = "http", **options: Any
) -> dict[str, str]:
    policy = SecurityHeaders(Options(**options), world.toolkit)
    policy.edit_response(a_request(scheme=scheme), response)
    fields = list(response.headers.items())
    found = dict(fields)
    assert len(found) == len(fields), "a field is doubled"
    return found


def test_the_safe_preset_adds_what_breaks_nothing(world: World) -> None:
    assert passed(world, upstream_response()) == ADDED_BY_SAFE


@pytest.mark.parametrize("preset", ["safe", "api", "strict"])
def test_hsts_is_for_clients_that_came_over_https(world: World, preset: str) -> None:
    over_http = passed(world, upstream_response(), preset=preset)
    over_https = passed(world, upstream_response(), preset=preset, scheme="https")
    assert "strict-transport-security" not in over_http
    assert over_https.pop("strict-transport-security").startswith("max-age=63072000")
    assert over_https == over_http


def test_the_safe_preset_does_not_speak_for_sibling_hosts(world: World) -> None:
    fields = passed(world, upstream_response(), scheme="https")
    assert fields["strict-transport-security"] == "max-age=63072000"


def test_the_strict_preset_is_the_owasp_set(world: World) -> None:
    fields = passed(world, upstream_response(), preset="strict", scheme="https")
    assert fields.pop("permissions-policy").startswith("accelerometer=(), ")
    assert fields == {
        "strict-transport-security": "max-age=63072000; includeSubDomains",
        "x-content-type-options": "nosniff",
        "x-frame-options": "deny",
        "content-security-policy": "default-src 'self'; form-action 'self'; base-uri 'self'; "
        "object-src 'none'; frame-ancestors 'none'; upgrade-insecure-requests",
        "x-permitted-cross-domain-policies": "none",
        "referrer-policy": "no-referrer",
        "cross-origin-embedder-policy": "require-corp",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store, max-age=0",
        "x-dns-prefetch-control": "off",
    }


def test_the_api_preset_keeps_answers_out_of_caches_unless_the_service_says(world: World) -> None:
    assert passed(world, upstream_response(), preset="api")["cache-control"] == "no-store"
    response = upstream_response(200, ("Cache-Control", "max-age=60"))
    assert passed(world, response, preset="api")["cache-control"] == "max-age=60"


@pytest.mark.parametrize(("override", "kept"), [(False, "ALLOWALL"), (True, "SAMEORIGIN")])
def test_a_field_of_the_service_wins_unless_overridden(
    world: World, override: bool, kept: str
) -> None:
    response = upstream_response(200, ("x-frame-options", "ALLOWALL"))
    assert passed(world, response, override=override)["x-frame-options"] == kept


def test_a_value_replaces_the_presets_and_false_leaves_the_field_alone(world: World) -> None:
    options: dict[str, Any] = {
        "set": {"x-frame-options": "deny", "Referrer-Policy": False, "X-Own": "yes"},
    }
    fields = passed(world, upstream_response(), **options)
    assert fields["x-frame-options"] == "deny"
    assert fields["x-own"] == "yes"
    assert "referrer-policy" not in fields
    response = upstream_response(200, ("Referrer-Policy", "origin"))
    assert passed(world, response, override=True, **options)["referrer-policy"] == "origin"


@pytest.mark.parametrize(
    "name", ["Server", "server", "X-Powered-By", "X-AspNet-Version", "X-Generator", "$wsep"]
)
def test_fields_that_name_the_software_are_taken_out(world: World, name: str) -> None:
    response = upstream_response(200, (name, "Apache/2.4"), ("Content-Type", "text/html"))
    assert passed(world, response) == {"content-type": "text/html", **ADDED_BY_SAFE}


def test_more_can_be_taken_out_and_some_be_kept(world: World) -> None:
    response = upstream_response(200, ("X-Node", "7"), ("Server", "mine"))
    fields = passed(world, response, strip=["X-Node"], set={"Server": False})
    assert fields == {"server": "mine", **ADDED_BY_SAFE}


def test_server_can_be_given_another_name(world: World) -> None:
    response = upstream_response(200, ("Server", "Apache/2.4"))
    fields = passed(world, response, set={"Server": "shop"}, override=True)
    assert fields["server"] == "shop"


def test_repeated_fields_of_the_service_all_go_and_cookies_stay(world: World) -> None:
    response = upstream_response(
        200, ("Server", "a"), ("Set-Cookie", "a=1"), ("Server", "b"), ("Set-Cookie", "b=2")
    )
    SecurityHeaders(Options(), world.toolkit).edit_response(a_request(), response)
    assert "server" not in response.headers
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert len(response.headers) == 2 + len(ADDED_BY_SAFE)


@pytest.mark.parametrize(
    "options",
    [
        {"set": {"X-A": True}},
        {"set": {"X-A": "a\r\nB: c"}},
        {"set": {"X A": "a"}},
        {"set": {"Content-Length": "0"}},
        {"strip": ["Transfer-Encoding"]},
        {"preset": "paranoid"},
    ],
)
def test_what_would_break_messages_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options(**options)
