"""Request targets: what routes see and what goes upstream are one reading, or there is none."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.model import Paths
from proxy.errors import GatewayError
from proxy.http1.target import (
    Target,
    decode_path,
    plain_parts,
    read_target,
    resolve_dots,
    without_parameters,
)

STRICT = Paths()
RESOLVE = Paths(dot_segments="resolve")
SLASHES = Paths(encoded_slashes="pass")
MERGE = Paths(empty_segments="merge")
EMPTY = Paths(empty_segments="pass")
LENIENT = Paths(dot_segments="resolve", encoded_slashes="pass", empty_segments="pass")


def refused(raw: str, rules: Paths, method: str = "GET") -> GatewayError:
    with pytest.raises(GatewayError) as refusal:
        read_target(raw, method, rules)
    error = refusal.value
    assert (error.status, error.code, error.close) == (400, "invalid_target", True)
    return error


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        ("/", "/", ""),
        ("/a/b", "/a/b", ""),
        ("/a/b/", "/a/b/", ""),
        ("/a?", "/a", ""),
        ("/a?x=1&y=%zz", "/a", "x=1&y=%zz"),
        ("/a?b?c", "/a", "b?c"),
        ("/a?/../..//", "/a", "/../..//"),
        ('/a?"<>\\^`{|}', "/a", '"<>\\^`{|}'),
        ("/a?%00%0d%0a", "/a", "%00%0d%0a"),
        ("/a%20b", "/a b", ""),
        ("/gr%C3%B6%c3%9fe", "/gr\u00f6\u00dfe", ""),
        ("/%ff", "/\udcff", ""),
        ("/100%25", "/100%", ""),
        ("/%2541", "/%41", ""),
        ("/%252e%252e/a", "/%2e%2e/a", ""),
        ("/%3Fa%23b", "/?a#b", ""),
        ("/.well-known/a", "/.well-known/a", ""),
        ("/%2Ehidden", "/.hidden", ""),
        ("/...", "/...", ""),
        ("/a..", "/a..", ""),
        ("/..a", "/..a", ""),
        ("/a.", "/a.", ""),
        ("/a;v=1/b", "/a;v=1/b", ""),
        ("/[1]{2}|^`", "/[1]{2}|^`", ""),
        ("/:a@b!$&'()*+,=~-_", "/:a@b!$&'()*+,=~-_", ""),
    ],
)
def test_a_path_is_matched_decoded_once_and_sent_as_it_came(
    raw: str, path: str, query: str
) -> None:
    assert read_target(raw, "GET", STRICT) == Target(raw.encode("ascii"), path, query, "", "")


@pytest.mark.parametrize("rules", [STRICT, LENIENT], ids=["strict", "lenient"])
@pytest.mark.parametrize(
    "raw",
    [
        "",
        "a",
        "a/b",
        "?a",
        "\\a",
        "http:/a",
        "http:a",
        "//" * 0 + "://a",
        "/#",
        "/#a",
        "/a?b#c",
        "/a#b?c",
        "/%",
        "/%4",
        "/%zz",
        "/%4g",
        "/%u0041",
        "/a%?b",
        "/%00",
        "/%c0%ae%C0%AE/a",
        "/%c1%9ca",
        "/%e0%80%afa",
        "/%f0%80%80%afa",
        "/a%0d%0aX:%20y",
        "/%0A",
        "/%1f",
        "/%7F",
        "/a b",
        "/a\tb",
        "/a\x00",
        "/a\n",
        "/a\r\n",
        "/a\x7f",
        '/"',
        "/<a>",
        "/\u00e9",
        "/a\udcff",
        "/a?\u00e9",
        "/a?b c",
        "/a?\x00",
        "/a?b\n",
        "*",
        "**",
        "*/a",
        "ftp://a/",
        "ws://a/",
        "file:///etc",
        "javascript://a/",
        "http://",
        "http:///a",
        "http://?a",
        "http://u@a/",
        "http://u:p@a/",
        "http://@a/",
        "https://a/#b",
        "https://a/%00",
        "https://a/ b",
        "1http://a/",
    ],
)
def test_what_no_rule_allows_is_refused(raw: str, rules: Paths) -> None:
    refused(raw, rules)


def test_the_refusal_never_quotes_the_target() -> None:
    for raw in ("/secret#x", "/secret%", "/secret//", "/secret/..", "/secret%2f", "ftp://secret/"):
        assert "secret" not in refused(raw, STRICT).detail


# Each row: the target, then what it becomes by rule: refused unless that rule allows it.
AMBIGUOUS = [
    # Dot segments, however they are written.
    ("/..", RESOLVE, b"/", "/"),
    ("/.", RESOLVE, b"/", "/"),
    ("/a/..", RESOLVE, b"/", "/"),
    ("/a/.", RESOLVE, b"/a/", "/a/"),
    ("/a/../b", RESOLVE, b"/b", "/b"),
    ("/a/./b?c/../d", RESOLVE, b"/a/b?c/../d", "/a/b"),
    ("/a/b/../../../../c", RESOLVE, b"/c", "/c"),
    ("/a/%2e%2e/b", RESOLVE, b"/b", "/b"),
    ("/a/.%2E/b", RESOLVE, b"/b", "/b"),
    ("/a/%2E./b", RESOLVE, b"/b", "/b"),
    ("/a/%2e/b", RESOLVE, b"/a/b", "/a/b"),
    ("/%61/../%62", RESOLVE, b"/%62", "/b"),
    # Empty segments.
    ("//", MERGE, b"/", "/"),
    ("//evil.example/a", MERGE, b"/evil.example/a", "/evil.example/a"),
    ("/a///b//", MERGE, b"/a/b/", "/a/b/"),
    ("/a//b?c//d", MERGE, b"/a/b?c//d", "/a/b"),
    ("//evil.example/a", EMPTY, b"//evil.example/a", "//evil.example/a"),
    ("/a//b", EMPTY, b"/a//b", "/a//b"),
    # Encoded slashes and backslashes.
    ("/a%2Fb", SLASHES, b"/a%2Fb", "/a%2Fb"),
    ("/a%2fb", SLASHES, b"/a%2fb", "/a%2Fb"),
    ("/a%5Cb", SLASHES, b"/a%5Cb", "/a\\b"),
    ("/a\\b", SLASHES, b"/a\\b", "/a\\b"),
]


@pytest.mark.parametrize(("raw", "rules", "target", "path"), AMBIGUOUS)
def test_an_ambiguous_path_is_refused_or_changed_for_routes_and_upstream_alike(
    raw: str, rules: Paths, target: bytes, path: str
) -> None:
    refused(raw, STRICT)
    read = read_target(raw, "GET", rules)
    assert (read.target, read.path) == (target, path)


@pytest.mark.parametrize(
    "raw",
    [
        # Some servers cut path parameters off before they look for dot segments.
        "/a/..;/b",
        "/a/..;x=y/b",
        "/a/.;/b",
        "/a/..%3b/b",
        "/a/%2e%2e;/b",
        "/..;",
    ],
)
def test_dots_with_parameters_are_refused_whatever_the_rule(raw: str) -> None:
    for rules in (STRICT, RESOLVE, LENIENT):
        refused(raw, rules)


@pytest.mark.parametrize(
    "raw",
    [
        "/a/..%2Fb",
        "/a/..%2fb",
        "/a%2F../b",
        "/a%2f%2e%2e%2fb",
        "/a/..\\b",
        "/a\\../b",
        "/a\\..\\b",
        "/a%5c..%5Cb",
        "/..%5c",
        "/a%2F..",
        "/a%2F.",
    ],
)
def test_dots_beside_encoded_slashes_are_refused_even_where_those_may_pass(raw: str) -> None:
    for rules in (STRICT, SLASHES, LENIENT):
        refused(raw, rules)


@pytest.mark.parametrize(
    ("raw", "method", "read"),
    [
        ("*", "OPTIONS", Target(b"*", "*", "", "", "")),
        ("http://a", "GET", Target(b"/", "/", "", "a", "http")),
        ("http://a/", "GET", Target(b"/", "/", "", "a", "http")),
        ("HTTP://A:80/b?c", "GET", Target(b"/b?c", "/b", "c", "A:80", "http")),
        ("https://a?b", "GET", Target(b"/?b", "/", "b", "a", "https")),
        ("https://[::1]:8/%41", "GET", Target(b"/%41", "/A", "", "[::1]:8", "https")),
        # RFC 9112, 3.2.4: with neither path nor query it is the whole server that is meant.
        ("http://a", "OPTIONS", Target(b"*", "*", "", "a", "http")),
        ("http://a/", "OPTIONS", Target(b"/", "/", "", "a", "http")),
        ("http://a?b", "OPTIONS", Target(b"/?b", "/", "b", "a", "http")),
        ("/a", "OPTIONS", Target(b"/a", "/a", "", "", "")),
    ],
)
def test_other_forms_of_targets(raw: str, method: str, read: Target) -> None:
    assert read_target(raw, method, STRICT) == read


def test_the_path_of_an_absolute_target_gets_no_milder_reading() -> None:
    for raw, *_ in AMBIGUOUS:
        refused(f"http://a{raw}", STRICT)


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        # RFC 3986, 5.2.4, and its example.
        ("/a/b/c/./../../g", "/a/g"),
        ("/a/b/..", "/a/"),
        ("/../../a", "/a"),
        ("/a/..//b", "//b"),
        ("/a//..", "/a/"),
        ("/a//../b", "/a/b"),
        ("/a/...", "/a/..."),
        ("/a/.b", "/a/.b"),
        ("/", "/"),
    ],
)
def test_dots_are_resolved(path: str, resolved: str) -> None:
    assert resolve_dots(path) == resolved


@pytest.mark.parametrize(
    ("path", "plain"),
    [("/a;b=c/d", "/a/d"), ("/a;", "/a"), ("/;x/a", "/a"), ("/;", "/"), ("/a/b", "/a/b")],
)
def test_some_servers_cut_parameters_off(path: str, plain: str) -> None:
    assert without_parameters(path) == plain


def test_slashes_stay_encoded_so_that_segments_stay_apart() -> None:
    assert decode_path("/a%2fb%2Fc%41") == "/a%2Fb%2FcA"


PIECES = st.sampled_from(
    ["/", "/", "a", "b", ".", "..", "%2e", "%2E", "%2f", "%5c", "\\", "%41", "%c3%a9", "%25", "2f",
     "%ff", ";", "%3b", "//", "%", "%00", "#", "?", "\u00e9"]
)  # fmt: skip
ALL_RULES = st.builds(
    Paths,
    dot_segments=st.sampled_from(["refuse", "resolve"]),
    encoded_slashes=st.sampled_from(["refuse", "pass"]),
    empty_segments=st.sampled_from(["refuse", "merge", "pass"]),
)


def segments_upstream(target: bytes) -> list[bytes]:
    """The segments that a server sees in a target: cut at slashes, then decoded once."""
    path = target.partition(b"?")[0].decode("ascii")
    return [unquote_to_bytes(segment) for segment in path.split("/")]


def segments_routed(path: str) -> list[bytes]:
    """The segments that routes see; a slash within one is still encoded there."""
    return [segment.encode("utf-8", "surrogateescape") for segment in path.split("/")]


@given(st.lists(PIECES, max_size=12), ALL_RULES)
def test_routes_and_upstream_see_the_same_segments(pieces: list[str], rules: Paths) -> None:
    raw = "/" + "".join(pieces)
    try:
        read = read_target(raw, "GET", rules)
    except GatewayError:
        return
    sent = segments_upstream(read.target)
    slashed = [segment.replace(b"/", b"%2F") for segment in sent]
    # An encoded percent sign before `2f` reads as an encoded slash in both.
    assert [re.sub(b"%2f", b"%2F", part) for part in segments_routed(read.path)] == [
        re.sub(b"%2f", b"%2F", part) for part in slashed
    ]
    # No server can climb out of what was routed, in whichever order it decodes and splits.
    for text in (read.target.partition(b"?")[0], unquote_to_bytes(read.target)):
        plain = text.partition(b"?")[0].replace(b"\\", b"/")
        parts = [part.partition(b";")[0] for part in plain.split(b"/")]
        assert not {b".", b".."} & set(parts)


@given(st.lists(PIECES, max_size=12), ALL_RULES)
def test_reading_what_goes_upstream_again_changes_nothing(pieces: list[str], rules: Paths) -> None:
    """Another Sidegate behind this one would route the same path."""
    try:
        read = read_target("/" + "".join(pieces), "GET", rules)
    except GatewayError:
        return
    assert read_target(read.target.decode("ascii"), "GET", rules) == read


@pytest.mark.parametrize("byte", range(256))
def test_a_target_is_plain_for_its_harmless_bytes_alone(byte: int) -> None:
    parts = plain_parts(b"/a" + bytes([byte]) + b"b")
    harmless = byte in b"./_~!$&'()*+,;=:@[]^`{|}-" or bytes([byte]).isalnum()
    if byte == ord("?"):
        assert parts == ("/a", "b")
    else:
        assert parts == ((f"/a{chr(byte)}b", "") if harmless else None)
