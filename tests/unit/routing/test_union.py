"""What RE2 is given means the same to it as to Python, and what it can't tell it doesn't."""

from __future__ import annotations

import contextlib
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.routing import union
from proxy.routing.path import read_regex
from proxy.routing.regexes import RegexIndex
from proxy.routing.union import Union, shared


@pytest.mark.parametrize(
    "text",
    [
        "/a/[0-9]+",
        "^/a/.*$",
        "(?i)/a",
        r"/(?P<user>\w+)/(?:a|b)?/\d{1,3}",
        r"/[^/.]+\.(?:html?|css)",
        "/a{2}b{3,}?",
        "",
    ],
)
def test_what_both_take_alike(text: str) -> None:
    assert shared(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("/a(?=b)", id="looks ahead"),
        pytest.param(r"/(a)\1", id="looks back"),
        pytest.param("/(?i:a)", id="flags of a group"),
        pytest.param("/a++", id="possessive"),
        pytest.param("(a$)\n?", id="a line end at the end"),
        pytest.param("/a|^/b", id="a beginning amid"),
        pytest.param(r"/\s", id="more blanks"),
        pytest.param(r"/[\s]", id="more blanks in a set"),
        pytest.param(r"/\bа", id="not ASCII"),
        pytest.param("/[[:alpha:]]", id="a class by its name"),
        pytest.param("/a{,3}", id="letters to RE2"),
        pytest.param("/a{b}", id="braces that repeat nothing"),
        pytest.param("/(?:a{999}){999}", id="too often for RE2"),
    ],
)
def test_what_they_may_not_take_alike(text: str) -> None:
    assert not shared(text)


PIECES = st.sampled_from(
    ["a", "b", "A", "/", "-", "_", "\\.", "\\(", "\\|", "\\-", "\\w", "\\W", "\\d", "\\D", "\\s",
     "[ab]", "[^a]", "[a-]", "[-a]", "[^\\w]", "[\\d.]", "[Z-a]", "[]a]", "(", ")", "(?:", "(?P<x>",
     "(?=", "(?i)", "|", "*", "?", "+", "{2}", "{0,1}", "{,1}", "{", "}", "^", "$", ".", "\n"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=7).map("".join)
PATHS = [
    "".join(path)
    for size in range(4)
    for path in itertools.product("ab/A.1_-\n\x1fKé٣", repeat=size)
]


@given(texts=st.lists(TEXTS, min_size=9, max_size=30))
def test_many_agree_with_trying_each_in_turn(texts: list[str]) -> None:
    regexes = []
    for text in texts:
        with contextlib.suppress(ValueError):
            regexes.append(read_regex(text))
    index = RegexIndex((regex, [place]) for place, regex in enumerate(regexes))
    for path in PATHS:
        assert list(index.find(path)) == [
            [place] for place, regex in enumerate(regexes) if regex.fullmatch(path) is not None
        ]


def test_any_number_is_told_apart() -> None:
    made = Union([f".*/item{number}" for number in range(4567)])
    for number in (0, 3999, 4000, 4566):
        assert made.match(f"/shop/item{number}") == [number]
    assert made.match("/shop/item4567") == []
    assert Union([]).match("/") == []


def test_without_memory_each_is_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    regexes = [re.compile(f".*/item{number}") for number in range(20)]

    def find() -> list[list[int]]:
        return list(RegexIndex((regex, [n]) for n, regex in enumerate(regexes)).find("/item7"))

    monkeypatch.setattr(union, "_EVERYTHING", "nothing")
    assert Union(["/a"]).match("/a") is None, "as when RE2 gives up"
    assert find() == [[7]]
    monkeypatch.setattr(union, "_MEMORY_MAX", 10_000)
    with pytest.raises(ValueError, match="too large"):
        Union([regex.pattern for regex in regexes])
    assert find() == [[7]]
