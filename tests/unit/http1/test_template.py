"""Templates: what they say, what they refuse, and that no value breaks out of its place."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.contract import Request
from proxy.http1.headers import Headers, encode
from proxy.http1.template import Template, check_template, in_field


def a_request(
    path: str = "/u/7", captures: dict[str, str] | None = None, host: str = "shop.example"
) -> Request:
    request = Request(
        "GET", b"/u/7", path, "", Headers(), host=host, scheme="https", client_ip="2001:db8::1"
    )
    request.id = "0199-id"
    request.captures = captures or {}
    return request


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{request_id}", "0199-id"),
        ("{client_ip} {host} {scheme} {method} {path}", "2001:db8::1 shop.example https GET /u/7"),
        ("<{path.id}>", "<7>"),
        ("{path.absent}", ""),
        ("{{path}}", "{path}"),
        ("{{{path.id}}}", "{7}"),
        ("{path.id}{path.id}", "77"),
    ],
)
def test_what_a_template_says(text: str, said: str) -> None:
    assert Template(text)(a_request(captures={"id": "7"})) == said


def test_a_text_without_places_is_constant() -> None:
    assert Template("a {{b}}").constant == "a {b}"
    assert Template("{host}").constant is None
    assert Template("{host}{path.a}").names == ("host", "path.a")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{client-ip}", "did you mean {client_ip}?"),
        ("{requestid}", "did you mean {request_id}?"),
        ("{nonsense}", "known are request_id, client_ip, host"),
        ("{}", "nothing is called {}"),
        ("{path.}", "did you mean {path.NAME}?"),
        ("{path.a-b}", "did you mean {path.NAME}?"),
        ("a {host", "the brace at character 3 has no partner"),
        ("a} b", "the brace at character 2 has no partner"),
        ("{a{b}}", "the brace at character 1 has no partner"),
        ("a\nb", "control character"),
        ("x" * 9000, "at most 8192"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused_with_the_fix(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        check_template(text)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("a\r\nSet-Cookie: b", "aSet-Cookie: b"),
        ("a\x00b\x1b[0m\x7f", "ab[0m"),
        ("a\u0085b\u009fc", "abc"),
        ("tab\there", "tabhere"),
        ("über", "über"),
        ("\ud800\udfff", ""),
        ("\udcff", "\udcff"),
    ],
)
def test_control_characters_are_removed_from_fields(value: str, kept: str) -> None:
    assert in_field(value) == kept


@given(st.text())
def test_no_value_ends_a_field_line(value: str) -> None:
    line = encode(Template("<{path.x}>")(a_request(captures={"x": value})))
    assert not any(byte < 32 or byte == 127 for byte in line)


@given(st.text())
def test_no_value_leaves_its_place_in_a_url(value: str) -> None:
    request = a_request(captures={"x": value})
    url = urlsplit(Template("https://a.example/in/{path.x}?q={path.x}&r=1", "url")(request))
    assert (url.scheme, url.netloc, url.fragment) == ("https", "a.example", "")
    assert url.path.startswith("/in/")
    assert url.query.count("&") == 1
    kept = encode(in_field(value))
    assert encode(unquote(url.path[4:], errors="surrogateescape")) == kept


@pytest.mark.parametrize(
    ("text", "path", "url"),
    [
        ("{path}", "//evil.example/a", "/evil.example/a"),
        ("{path}", "", "/"),
        ("{path}", "*", "/*"),
        ("{path}", "/ü ?#%2F", "/%C3%BC%20%3F%23%252F"),
        ("/a%20b/ü", "", "/a%20b/%C3%BC"),
        ("/?from={path}", "/a&b=c", "/?from=/a%26b%3Dc"),
    ],
)
def test_urls_are_encoded_by_place(text: str, path: str, url: str) -> None:
    assert Template(text, "url")(a_request(path)) == url


@pytest.mark.parametrize(
    ("host", "kept"),
    [("shop.example", "shop.example"), ("[::1]", "[::1]"), ("a/b@c#d?e\\f", "abcdef"), ("", "")],
)
def test_a_host_keeps_only_what_a_host_is_made_of(host: str, kept: str) -> None:
    assert Template("https://{host}/", "url")(a_request(host=host)) == f"https://{kept}/"


def test_a_malformed_escape_in_a_url_is_refused() -> None:
    with pytest.raises(ValueError, match="write %25"):
        Template("/100%/x", "url")
