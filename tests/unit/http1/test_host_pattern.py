"""Names of hosts as people write them, one or a whole domain."""

from __future__ import annotations

import re

import pytest

from proxy.http1.host_pattern import HostPattern, read_host_pattern


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
        ("api.example.com", "", False),
    ],
)
def test_a_pattern_takes_its_hosts_and_no_others(pattern: str, host: str, taken: bool) -> None:
    assert read_host_pattern(pattern).matches(host) is taken


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("", "'' can't be part of a host name"),
        ("*", "a star stands at the beginning only"),
        ("API.example.com", "write it in lower case: api.example.com"),
        ("api.example.com:8080", "leave the port out and write api.example.com"),
        ("http://api.example.com", "write the host alone"),
        ("api.example.com/v1", "write the host alone"),
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
        read_host_pattern(text)


def test_a_pattern_is_written_as_it_was_read() -> None:
    for text in ("api.example.com", "*.example.com", "[::1]"):
        assert str(read_host_pattern(text)) == text
    assert read_host_pattern("*.a.test") == HostPattern("a.test", wildcard=True)
