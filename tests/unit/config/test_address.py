"""Addresses, and what is told of those that lack something."""

from __future__ import annotations

import pytest

from proxy.config.address import as_address, as_written, check_admin, check_endpoint, check_listen


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("3000", "http://127.0.0.1:3000"),
        (":8080", "http://0.0.0.0:8080"),
        ("localhost:3000", "http://localhost:3000"),
        ("https://example.com", "https://example.com"),
        ("/run/app.sock", "unix:/run/app.sock"),
        ("unix:/run/app.sock", "unix:/run/app.sock"),
        ("", ""),
    ],
)
def test_addresses_as_people_type_them(typed: str, address: str) -> None:
    assert as_address(typed) == address


@pytest.mark.parametrize(
    ("text", "admin", "endpoint", "listen"),
    [
        ("80", "http://127.0.0.1:80", "http://127.0.0.1:80", "http://0.0.0.0:80, or http://127."),
        (":80", "http://127.0.0.1:80", "http://127.0.0.1:80", "http://0.0.0.0:80, or http://127."),
        ("a:80", "http://a:80", "http://a:80", "http://a:80"),
        ("[::1]:80", "http://[::1]:80", "http://[::1]:80", "http://[::1]:80"),
        (
            "a",
            "http://HOST:PORT, or unix",
            "http://HOST:PORT or https",
            "http://HOST:PORT or https",
        ),
    ],
)
def test_what_was_meant_is_told(text: str, admin: str, endpoint: str, listen: str) -> None:
    checks = {check_admin: admin, check_endpoint: endpoint, check_listen: listen}
    for check, meant in checks.items():
        with pytest.raises(ValueError, match="is not an address") as caught:
            check(text)
        assert f"is not an address; write {meant}" in str(caught.value)


def test_nobody_is_reached_at_port_0() -> None:
    check_listen("http://127.0.0.1:0")
    with pytest.raises(ValueError, match="at port 0"):
        check_endpoint("http://127.0.0.1:0")


def test_numbers_are_told_as_they_were_written() -> None:
    assert [as_written(value) for value in (80, 8.5, True, "x")] == ["80", "8.5", True, "x"]
