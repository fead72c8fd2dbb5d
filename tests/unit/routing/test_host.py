"""Hosts of routes, and the index that finds them."""

from __future__ import annotations

import re

import pytest

from proxy.http1.host_pattern import HostPattern
from proxy.routing.host import ANY_HOST, HostIndex, read_host


def test_a_route_without_a_host_takes_any() -> None:
    assert read_host(None) == ANY_HOST
    assert read_host(None).matches("anything")
    assert read_host(None).matches("")
    assert read_host("*.example.com") == HostPattern("example.com", wildcard=True)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("", "leave host out"),
        ("*", "leave host out"),
        ("http://api.example.com", "write the host alone; the path goes into match.path"),
        ("api.example.com/v1", "the path goes into match.path"),
        ("[::1]/x", "leave the port out and write [::1]"),
        ("api.*.com", "a star stands at the beginning only"),
    ],
)
def test_a_wrong_host_of_a_route_is_told_with_its_fix(text: str, fix: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fix)):
        read_host(text)


HOSTS = HostIndex(
    {
        HostPattern("api.example.com"): "exact",
        HostPattern("com", wildcard=True): "*.com",
        HostPattern("example.com", wildcard=True): "*.example.com",
        HostPattern("deep.example.com", wildcard=True): "*.deep.example.com",
        HostPattern("[::1]"): "ipv6",
        ANY_HOST: "any",
    }
)


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("api.example.com", ["exact", "*.example.com", "*.com", "any"]),
        ("www.example.com", ["*.example.com", "*.com", "any"]),
        ("a.b.c.deep.example.com", ["*.deep.example.com", "*.example.com", "*.com", "any"]),
        ("deep.example.com", ["*.example.com", "*.com", "any"]),
        ("example.com", ["*.com", "any"]),
        (".example.com", ["*.com", "any"]),
        ("com", ["any"]),
        (".com", ["any"]),
        ("[::1]", ["ipv6", "any"]),
        ("example.org", ["any"]),
        ("", ["any"]),
        ("." * 300, ["any"]),
    ],
)
def test_what_takes_a_host_is_found_most_specific_first(host: str, found: list[str]) -> None:
    assert list(HOSTS.find(host)) == found


def test_an_index_without_patterns_finds_nothing() -> None:
    nothing: dict[HostPattern, str] = {}
    assert HostIndex(nothing).find("a.example.com") == ()
