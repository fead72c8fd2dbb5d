"""Structured fields: RFC 9651, 3 and 4.2."""

from __future__ import annotations

import pytest

from proxy.http1.structured import Item, Token, read_dictionary, show_string


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("", {}),
        ("  ", {}),
        ("a", {"a": True}),
        ("a=?0, b=?1", {"a": False, "b": True}),
        ("a=1,b=-2 ,\tc=1.5", {"a": 1, "b": -2, "c": 1.5}),
        ("a=1, a=2", {"a": 2}),
        ('a="x \\"y\\\\"', {"a": 'x "y\\'}),
        ("a=tok:en/1, *b=*", {"a": Token("tok:en/1"), "*b": Token("*")}),
        ("a=:aGk=:", {"a": b"hi"}),
        ("a=:aGk:", {"a": b"hi"}),
        ("a=(1 2  3), b=()", {"a": (1, 2, 3), "b": ()}),
        ("a=(1;x 2);y", {"a": (1, 2)}),
        ("a;x=1;y, b=2; z", {"a": True, "b": 2}),
        ("a=@1659578233", {"a": 1659578233}),
        ('a=%"f%c3%bc"', {"a": "fü"}),
    ],
)
def test_dictionaries(text: str, members: dict[str, Item]) -> None:
    assert read_dictionary(text) == members


@pytest.mark.parametrize(
    "text",
    [
        "A", "a=", "a=,b", "a,", "a b", "a=1 2", "a==1", "&", "a=1.", "a=1.2345",
        "a=1234567890123456", "a=1234567890123.1", "a=-", 'a="x', 'a="\\x"', 'a="\x7f"', "a=?2",
        "a=:a:", "a=:!:", "a=(1", "a=(1,2)", "a=@x", "a=@1.5", 'a=%"%ff"', 'a=%"%C3%BC"', "a;X",
        "a=(1 2)x",
    ],
)  # fmt: skip
def test_malformed_ones_fail_as_a_whole(text: str) -> None:
    assert read_dictionary(f"ok=1, {text}") is None


def test_strings_are_written() -> None:
    assert show_string('a "b" \\ ü\n') == '"a \\"b\\" \\\\ ??"'
