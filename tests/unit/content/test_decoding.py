"""What a value may become once more programs have read it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.content.decoding import may_decode, readings, shorten


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("plain text", "plain text"),
        ("%27", "'"),
        ("%2527", "'"),
        ("%252527", "%27"),
        ("%u0027", "'"),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&lt;b&gt;", "<b>"),
        ("%26%2339;", "'"),
        ("&#" + "0" * 9000 + "39;", "'"),
        ("&#" + "9" * 9000 + ";", " "),
        (r"\u0027", "'"),
        (r"\x27", "'"),
        (r"\u{27}", "'"),
        ("%c0%ae%c0%ae%c0%af", "../"),
        ("%e0%80%af", "/"),
        ("%e0%81%9c%f0%80%80%ae%f0%80%81%a1", "\\.a"),
        ("\uff1cb\uff1e", "<b>"),
        ("it\u02bcs", "it's"),
        ("a\x00b", "ab"),
        ("1/**/or/*x*/2", "1 or 2"),
        ("/*!50000union*/ select", " union  select"),
        ("%E2%80%99", "\u2019"),
        ("%ff", " "),
        ("1\x0bor\xa01", "1 or 1"),
        ("1--x\nor#y\n1", "1\nor\n1"),
        ("-- x", "-- x"),
    ],
)
def test_the_last_reading(text: str, last: str) -> None:
    assert readings(text, 2)[-1] == last
    assert readings(text, 2)[0] == text, "as it came is a reading too"


@pytest.mark.parametrize("text", ["100%", "50 % of", "AT&T", "a & b", "C:\\x", "%zz", "&;", "\\n"])
def test_ordinary_signs_mean_nothing_else(text: str) -> None:
    assert readings(text, 2) == [text]


@pytest.mark.parametrize("text", [r"\x00", r"\u000a", r"\u{d800}", r"\u{110000}", "%ud800"])
def test_escapes_of_no_visible_character_stay(text: str) -> None:
    assert readings(text, 2) == [text]


@pytest.mark.parametrize(
    ("text", "short"),
    [("a=%c0%ae%C1%9C", "a=.%5C"), ("%e0%80%af", "%2F"), ("%e0%a0%80", "%e0%a0%80"), ("a", "a")],
)
def test_overlong_escapes_are_shortened(text: str, short: str) -> None:
    assert shorten(text) == short


def test_the_rounds_are_the_operator_s() -> None:
    text = "%2525252527"
    assert readings(text, 0) == [text]
    assert readings(text, 4)[-1] == "%27"


@given(st.text(max_size=200), st.integers(0, 4))
def test_whatever_comes_is_read(text: str, rounds: int) -> None:
    found = readings(text, rounds)
    assert found[0] == text
    assert len(found) <= 2 * (rounds + 1)
    assert may_decode(text) or found == [text]


@pytest.mark.parametrize("unit", [
    "%", "%2", "%25", "&", "&#", "&#9", "&lt", "\\", "\\u", "/*", "/* ", "/*!", "/**", "*/", "%c0",
    "\uff1c", "#", "--", "#\n", "-- \n",
])  # fmt: skip
def test_no_text_is_costly(
    unit: str, linear: Callable[[Callable[[str], object], str], None]
) -> None:
    linear(lambda text: readings(text, 4), unit)
