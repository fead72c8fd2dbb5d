"""Regular expressions are found by how they begin, and none is missed."""

from __future__ import annotations

import contextlib
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.routing.path import read_regex
from proxy.routing.regexes import RegexIndex, beginning


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("/a/b", "/a/b"),
        ("/a/[0-9]+", "/a/"),
        ("^/a/.*$", "/a/"),
        (r"/a\.b\-c/\d", "/a.b-c/"),
        ("/ab?c", "/a"),
        ("/ab*", "/a"),
        ("/ab{0,2}", "/a"),
        ("/ab+", "/ab"),
        ("/a/(b|c)/d", "/a/"),
        ("/a/(?:b|c[|)(])(d|e)", "/a/"),
        ("/a|/b", ""),
        ("/a/(b)|c", ""),
        ("/a/[](]|x", ""),
        (r"/a/\(|x", ""),
        ("/a/(?#()|x", ""),
        ("(?i)/a", ""),
        ("(/a)", ""),
        (".*", ""),
        ("", ""),
        ("\\", ""),
    ],
)
def test_how_an_expression_begins(text: str, fixed: str) -> None:
    assert beginning(text) == fixed


PIECES = st.sampled_from(
    ["a", "b", "/", "ab", "\\.", "\\(", "\\|", "\\w", "[ab]", "[]a]", "[^]|(]", "[|]", "(", ")",
     "(?:", "(?i:", "|", "*", "?", "+", "{2}", "{", "^", "$", ".", "#"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=9).map("".join)
PATHS = ["".join(path) for size in range(4) for path in itertools.product("ab/A.(|]", repeat=size)]


@given(texts=st.lists(TEXTS, max_size=8))
def test_the_search_agrees_with_trying_each_in_turn(texts: list[str]) -> None:
    regexes = []
    for text in texts:
        with contextlib.suppress(ValueError):
            regexes.append(read_regex(text))
    index = RegexIndex((regex, [place]) for place, regex in enumerate(regexes))
    for path in PATHS:
        assert list(index.find(path)) == [
            [place] for place, regex in enumerate(regexes) if regex.fullmatch(path) is not None
        ]


def test_nested_beginnings_are_found_in_the_order_of_trying() -> None:
    texts = ["/a/b.*", ".*", "/a.*", "/b.*", "/a/b/c.*", "/a/bc.*"]
    index = RegexIndex((re.compile(text), [place]) for place, text in enumerate(texts))
    assert list(index.find("/a/b/c")) == [[0], [1], [2], [4]]
    assert list(index.find("/a")) == [[1], [2]]
    assert list(index.find("")) == [[1]]
