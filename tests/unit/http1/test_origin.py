"""Origins of pages, and who is meant by a pattern."""

from __future__ import annotations

import time

import pytest

from proxy.http1.origin import Origins, bare_authority, check_origin, origin_host

PATTERNS = [
    "https://app.example.com",
    "https://*.example.org",
    "http://localhost:5173",
    "https://[::1]:8443",
    r"~https://pr-[0-9]+\.preview\.test",
]


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "https://a.example.org",
        "https://a.b.example.org",
        "http://localhost:5173",
        "https://[::1]:8443",
        "https://pr-17.preview.test",
    ],
)
def test_an_origin_that_is_meant(origin: str) -> None:
    assert origin in Origins(PATTERNS)


@pytest.mark.parametrize(
    "origin",
    [
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.test",
        "https://xapp.example.com",
        "https://appxexample.com",
        "https://APP.example.com",
        "https://example.org",
        "https://example.org.evil.test",
        "https://evilexample.org",
        "https://evil.test/.example.org",
        "https://evil.test#.example.org",
        "https://evil.test?.example.org",
        "https://evil.test\\.example.org",
        "https://user@a.example.org",
        "https://a.example.org ",
        "https://a.example.org\nX",
        "https://.example.org",
        "http://localhost:5174",
        "https://pr-17.preview.test.evil.test",
        "https://pr-.preview.test",
        "null",
        "",
        "*",
        "https://" + "a." * 500 + "example.org",
    ],
)
def test_an_origin_that_is_not(origin: str) -> None:
    assert origin not in Origins(PATTERNS)


def test_null_has_to_be_written_out() -> None:
    assert "null" in Origins(["null"])
    assert "https://null" not in Origins(["null"])


def test_no_origin_is_costly() -> None:
    some = Origins(PATTERNS)
    began = time.process_time()
    for number in range(2000):
        assert f"https://{'a.' * 140}{number}" not in some
    assert time.process_time() - began < 2
    assert len(some._memory) <= 1024


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("app.example.com", "is no origin"),
        ("*", "is no origin"),
        ("https://", "is no origin"),
        ("ftp://example.com", "is no origin"),
        ("https://example.com/", "leave '/' out"),
        ("https://example.com/app", "leave '/app' out"),
        ("https://example.com:443", "leave it out here too"),
        ("http://example.com:80", "leave it out here too"),
        ("https://Example.com", "write it in lower case"),
        ("https://a.*.example.com", "a star stands at the beginning only"),
        ("~(", "is not a regular expression"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        check_origin(text)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com", "example.com"),
        ("https://example.com:443", "example.com"),
        ("http://example.com:443", "example.com:443"),
        ("http://Example.com:8080", "example.com:8080"),
        ("null", ""),
        ("", ""),
        ("https://a@b", ""),
        ("https://a/b", ""),
    ],
)
def test_the_host_of_an_origin(origin: str, host: str) -> None:
    assert origin_host(origin) == host


def test_an_authority_without_the_port_that_goes_without_saying() -> None:
    assert bare_authority("Example.com:80", "http") == "example.com"
    assert bare_authority("example.com:80", "https") == "example.com:80"
    assert bare_authority("example.com:8080", "http") == "example.com:8080"
