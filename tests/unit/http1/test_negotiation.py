"""Which format a client prefers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.negotiation import FORMATS, choose_format

FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
AXIOS = "application/json, text/plain, */*"
LYNX = "text/html, text/plain, text/sgml, text/css, */*;q=0.01"
IMAGE = "image/avif,image/webp,image/apng,image/*,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        (FIREFOX, "html"),
        (AXIOS, "json"),
        (LYNX, "html"),
        (IMAGE, "json"),
        ("text/html", "html"),
        ("application/xhtml+xml", "html"),
        ("text/plain", "text"),
        ("text/*", "text"),
        ("application/*", "json"),
        ("application/problem+json", "json"),
        ("application/vnd.api+json, text/html;q=0.9", "json"),
        ("TEXT/HTML ; Q=0.9 , application/json;q=0.8", "html"),
        ("application/json, text/html", "json"),
        ("text/html, application/json", "html"),
        ("text/html;q=0.5, application/json;q=0.5", "html"),
        ("text/html;q=0, */*", "json"),
        ("application/json;q=0, */*", "text"),
        ("application/json;q=0, text/plain;q=0, */*;q=0.1", "html"),
        ("*/*;q=0", "json"),
        ("text/html;q=0", "json"),
        ("image/png", "json"),
        ("text/html;level=1;q=0.7, text/plain;q=0.6", "html"),
        ("text/html;q=2, text/plain", "text"),
        ("text/html;q=, text/plain", "text"),
        ("text/html;q=0.1234, text/plain;q=0.1", "text"),
        ("text/html;q=0.٣, text/plain;q=0.1", "text"),
        ("application/json;q=0.001, text/html;q=1.000", "html"),
        (";;;,,,q=1", "json"),
        ("text/html" + ", image/x" * 500, "html"),
        ("image/x, " * 500 + "text/html", "json"),
        ("\udcff/\udcfe", "json"),
    ],
)
def test_the_preferred_format(accept: str | None, chosen: str) -> None:
    assert choose_format(accept) == chosen


@given(st.text(alphabet="texhmlapicon/json*;q=01., \t\x00é", max_size=200))
def test_any_value_gives_a_format(accept: str) -> None:
    assert choose_format(accept) in FORMATS
