"""Host patterns, and the index that finds them."""

from __future__ import annotations

import re

import pytest

from proxy.http1.host_pattern import HostPattern
from proxy.routing.host import ANY_HOST, HostIndex, read_host


@pytest.mark.parametrize(
    ("pattern", "host", "taken"),
    [
        ("api.example.com", "api.example.com", True),
        ("api.example.com", "example.com", False),
        ("api.example.com", "x.api.example.com", False),
        ("*.example.com", "api.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*.example.com", "example.com.evil.org", False),
        ("[::1]", "[::1]", True),
        ("[0:0::1]", "[::1]", True),
        ("127.0.0.1", "127.0.0.1", True),
        (None, "anything", True),
        (None, "", True),
        ("api.example.com", "", False),
    ],
)
def test_a_pattern_takes_its_hosts_and_no_others(
    pattern: str | None, host: str, taken: bool
) -> None:
    assert read_host(pattern).matches(host) is taken


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("", "leave host out"),
        ("*", "leave host out"),
        ("API.example.com", "write it in lower case: api.example.com"),
        ("api.example.com:8080", "leave the port out and write api.example.com"),
        ("http://api.example.com", "write the host alone"),
        ("api.example.com/v1", "the path goes into match.path"),
        ("::1", "in brackets"),
        ("[::1", "isn't closed"),
        ("[::1]:80", "leave the port out and write [::1]"),
        ("[::g]", "not an IPv6 address"),
        ("my_host.example.com", "'my_host' can't be part of a host name"),
        ("-a.example.com", "'-a' can't be part of a host name"),
        ("a..example.com", "'' can't be part of a host name"),
        ("example.com.", "leave out the dot at the end"),
        ("bücher.example", "xn--"),
        ("api.*.com", "a star stands at the beginning only"),
        ("*api.example.com", "a star stands at the beginning only"),
        ("*.", "leave out the dot at the end"),
        ("a b.example.com", "'a b' can't be part of a host name"),
        ("a" * 64 + ".com", "1 to 63"),
        (".".join(["a" * 60] * 5), "at most 253 characters; this one 304"),
    ],
)
def test_a_wrong_pattern_is_told_with_its_fix(text: str, fix: str) -> None:
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
