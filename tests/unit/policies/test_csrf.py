"""csrf: whose page a request with a cookie comes from."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.policies.csrf import Csrf, Options
from tests.unit.policies.world import World, a_request, refusal

OWN = "http://shop.example"
TRUSTED = "https://accounts.example"


def admitted(
    world: World,
    site: str | None,
    origin: str | None,
    *,
    method: str = "POST",
    cookie: str | None = "session=1",
    scheme: str = "http",
    host: str = "shop.example",
    **options: Any,
) -> bool:
    fields = [
        (name, value)
        for name, value in (("Sec-Fetch-Site", site), ("Origin", origin), ("Cookie", cookie))
        if value is not None
    ]
    policy = Csrf(Options.model_validate({"trusted_origins": TRUSTED, **options}), world.toolkit)
    request = a_request("/x", *fields, method=method, scheme=scheme, host=host)
    refused = refusal(policy, request)
    assert refused is None or (refused.status, refused.code) == (403, "cross_site")
    return refused is None


@pytest.mark.parametrize(
    ("site", "origin", "comes_in"),
    [
        # Browsers that say it all.
        ("same-origin", OWN, True),
        ("none", None, True),
        ("cross-site", "https://evil.test", False),
        ("cross-site", None, False),
        ("cross-site", TRUSTED, True),
        ("same-site", "https://other.shop.example", False),
        ("same-site", None, False),
        ("nonsense", OWN, False),
        ("", OWN, False),
        # A page can't forge Sec-Fetch-Site, and Origin must not outweigh it.
        ("cross-site", OWN, False),
        # Browsers that send Origin alone.
        (None, OWN, True),
        (None, "https://shop.example", True),
        (None, "http://SHOP.example", True),
        (None, "http://shop.example:8080", False),
        (None, "https://evil.test", False),
        (None, "https://shop.example.evil.test", False),
        (None, "https://evilshop.example", False),
        (None, TRUSTED, True),
        (None, "null", False),
        (None, "", False),
        (None, "http://shop.example@evil.test", False),
        # Programs.
        (None, None, True),
    ],
)
def test_where_a_request_may_come_from(
    world: World, site: str | None, origin: str | None, comes_in: bool
) -> None:
    assert admitted(world, site, origin) is comes_in


def test_a_page_of_another_site_opens_no_websocket(world: World) -> None:
    policy = Csrf(Options(), world.toolkit)
    for origin, comes_in in ((OWN, True), ("https://evil.test", False)):
        request = a_request("/x", ("Origin", origin), ("Cookie", "session=1"), host="shop.example")
        request.upgrade = "websocket"
        assert (refusal(policy, request) is None) is comes_in


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_changes_nothing_is_left_alone(world: World, method: str) -> None:
    assert admitted(world, "cross-site", "https://evil.test", method=method)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPPATCH"])
def test_what_may_change_something_is_not(world: World, method: str) -> None:
    assert not admitted(world, "cross-site", "https://evil.test", method=method)


def test_without_a_cookie_nobody_s_name_is_used(world: World) -> None:
    assert admitted(world, "cross-site", "https://evil.test", cookie=None)


@pytest.mark.parametrize(
    ("cookie", "looked_at"),
    [
        ("session=1", True),
        ("theme=dark; session=1", True),
        ("theme=dark;session", True),
        ("theme=dark", False),
        ("theme=session", False),
        ("xsession=1", False),
    ],
)
def test_which_cookies_carry_a_session(world: World, cookie: str, looked_at: bool) -> None:
    came = admitted(world, "cross-site", None, cookie=cookie, cookies=["session", "id"])
    assert came is not looked_at


def test_a_port_that_goes_without_saying(world: World) -> None:
    assert admitted(world, None, "https://shop.example", scheme="https", host="shop.example:443")
    assert admitted(world, None, "https://shop.example", scheme="http", host="shop.example:443")
    assert not admitted(world, None, "https://shop.example:444", host="shop.example:443")


def test_subdomains_can_be_trusted(world: World) -> None:
    assert admitted(world, "same-site", "https://a.shop.example", same_site=True)
    assert not admitted(world, "cross-site", "https://a.shop.example", same_site=True)


def test_programs_can_be_kept_out(world: World) -> None:
    assert not admitted(world, None, None, unknown="refuse")
    assert admitted(world, None, None, unknown="refuse", cookie=None)


@pytest.mark.parametrize("text", ["*", "accounts.example", "https://a.test/path"])
def test_origins_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Options(trusted_origins=(text,))
