"""Pairs of names and values."""

from __future__ import annotations

import pytest

from proxy.content.form import decode_part, read_cookies, read_pairs


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("a=b", [("a", "b")]),
        ("a=b&a=c&b", [("a", "b"), ("a", "c"), ("b", "")]),
        ("a=b=c&&=d", [("a", "b=c"), ("", "d")]),
        ("a+b=c%20d%2B", [("a b", "c d+")]),
        ("%C3%A9=%ff", [("é", "\ufffd")]),
        ("a=%", [("a", "%")]),
        ("a;b=c", [("a;b", "c")]),
        ("a=%41\udcff", [("a", "A\ufffd")]),
    ],
)
def test_pairs_are_parted_and_decoded(text: str, pairs: list[tuple[str, str]]) -> None:
    assert read_pairs(text) == pairs


def test_none_hides_behind_many_others() -> None:
    assert read_pairs("&" * 100_000 + "a=b" + "&" * 100_000) == [("a", "b")]
    assert read_pairs("x&" * 100_000 + "a=b")[-1] == ("a", "b")
    assert read_cookies(";" * 100_000 + "a=b")[-1] == ("a", "b")


def test_a_part_without_signs_is_the_same_object() -> None:
    text = "plain"
    assert decode_part(text) is text


def test_cookies_are_taken_as_they_are_written() -> None:
    text = 'a=b; c="d e"; f; g=h=i; j=%27'
    assert read_cookies(text) == [
        ("a", "b"), ("c", "d e"), ("f", ""), ("g", "h=i"), ("j", "%27"),
    ]  # fmt: skip
