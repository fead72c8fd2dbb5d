"""What the model takes and refuses beyond plain types."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.config.address import Address, parse_address
from proxy.config.model import Config, Route
from proxy.config.upstream import Upstream

BOTH = ("http", "https")


def test_an_empty_file_has_a_value_for_everything() -> None:
    config = Config()
    assert config.server.listen == ("http://127.0.0.1:8080",)
    assert config.server.limits.body == 10 * 1024 * 1024
    assert config.admin.listen == "http://127.0.0.1:9901"


@pytest.mark.parametrize(
    ("written", "endpoints"),
    [
        ("http://a:1", ("http://a:1",)),
        ({"endpoints": "http://a:1"}, ("http://a:1",)),
        ({"endpoints": ["http://a:1", "unix:/run/b.sock"]}, ("http://a:1", "unix:/run/b.sock")),
    ],
)
def test_short_forms_of_an_upstream(written: Any, endpoints: tuple[str, ...]) -> None:
    assert Upstream.model_validate(written).urls == endpoints


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://example.com", Address(scheme="http", host="example.com", port=80)),
        ("https://example.com/", Address(scheme="https", host="example.com", port=443)),
        ("http://[::1]:8080", Address(scheme="http", host="::1", port=8080)),
        ("unix:/run/app.sock", Address(scheme="unix", host="/run/app.sock")),
        ("unix:///run/app.sock", Address(scheme="unix", host="/run/app.sock")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text, schemes=BOTH) == address


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("example.com:80", "write http://example.com:80"),
        ("ftp://example.com", "write http://HOST:PORT"),
        ("http://", "names no host"),
        ("http://:80", "names no host"),
        ("http://a:99999", "up to 65535"),
        ("http://a:x", "up to 65535"),
        ("http://a/b", "only a host and a port"),
        ("http://user@a", "only a host and a port"),
        ("http://[::1", "isn't closed"),
        ("unix:run/app.sock", "must be absolute"),
        ("http://a, http://b", "write several as a list"),
    ],
)
def test_addresses_that_mean_nothing_are_refused_with_the_fix(text: str, fix: str) -> None:
    with pytest.raises(ValueError, match="'") as caught:
        parse_address(text, schemes=BOTH)
    assert fix in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 64, "a/b", 'a"b', "ä"])
def test_route_names_are_safe_as_labels_and_in_logs(name: str) -> None:
    with pytest.raises(ValidationError, match="is no name"):
        Route(name=name)


def test_settings_cannot_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().server.workers = 2


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ({"listen": []}, "must have at least 1 entry"),
        ({"listen": "http://a:1, http://a:1"}, "http://a:1 is listed twice"),
        ({"listen": "https://a", "tls": {"certificates": []}}, "must have at least 1 entry"),
    ],
)
def test_servers_that_cannot_be(server: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as caught:
        Config.model_validate({"server": server})
    assert caught.value.error_count() == 1


def test_several_may_stand_in_one_text() -> None:
    """As variables of the environment have them."""
    server = {"listen": "http://a:1, http://a:2", "trusted_proxies": "10.0.0.0/8, 192.0.2.7"}
    config = Config.model_validate({"server": server})
    assert config.server.listen == ("http://a:1", "http://a:2")
    assert len(config.server.trusted_proxies) == 2
