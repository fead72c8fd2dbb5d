"""What goes from a text, and what stays."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policies.sanitize.cleaning import Cleaner


def cleaned(text: str, **options: Any) -> tuple[str, set[str]]:
    changes: set[str] = set()
    return Cleaner(**options).clean(text, changes), changes


@pytest.mark.parametrize(
    ("text", "clean", "changes"),
    [
        ("", "", set()),
        ("plain", "plain", set()),
        ("two words", "two words", set()),
        ("  spaced  out  ", "spaced  out", {"trim"}),
        ("a\x00b\x07", "ab", {"controls"}),
        ("line\r\nline\ttab", "line\r\nline\ttab", set()),
        ("e\u0301", "é", {"unicode"}),
        ("user\u202egpj.exe", "usergpj.exe", {"invisible"}),
        ("zero\u200bwidth\ufeff", "zerowidth", {"invisible"}),
        ("soft\xadhyphen", "softhyphen", {"invisible"}),
        ("\u00a0non-breaking\u3000", "non-breaking", {"trim"}),
        # Joiners are letters' business.
        ("می\u200cخواهم", "می\u200cخواهم", set()),
        ("👩\u200d💻", "👩\u200d💻", set()),
        ("🏳\ufe0f\u200d🌈", "🏳\ufe0f\u200d🌈", set()),
        ("O'Brien", "O'Brien", set()),
        ("Łukasz Żółć 李小龙 محمد", "Łukasz Żółć 李小龙 محمد", set()),
        ("раураl", "раураl", set()),
        ("ｆｕｌｌ", "ｆｕｌｌ", set()),
    ],
)
def test_by_default(text: str, clean: str, changes: set[str]) -> None:
    assert cleaned(text) == (clean, changes)


@pytest.mark.parametrize(
    ("text", "options", "clean"),
    [
        ("a  b \t c", {"collapse": True}, "a b c"),
        ("a\n\n\n b", {"collapse": True}, "a\n\n\n b"),
        ("a\r\n\r\nb\u2028c", {"lines": False}, "a b c"),
        ("a \n b", {"lines": False, "collapse": True}, "a b"),
        (" a ", {"trim": False}, " a "),
        ("a\x00", {"controls": False}, "a\x00"),
        ("a\u200b", {"invisible": False}, "a\u200b"),
        ("e\u0301", {"form": "none"}, "e\u0301"),
        ("ｆｕｌｌ ①", {"form": "nfkc"}, "full 1"),
        ("abcdef", {"length": 3}, "abc"),
        ("ab", {"length": 3}, "ab"),
        # Cyrillic among Latin letters; whole words of another script stay.
        ("pаypаl", {"confusables": True}, "paypal"),
        ("Москва", {"confusables": True}, "Москва"),
        ("αβγ", {"confusables": True}, "αβγ"),
        ("𝗉𝖺𝗒𝗉𝖺𝗅", {"confusables": True}, "paypal"),
        ("ｐａｙｐａｌ", {"confusables": True}, "paypal"),
        ("éclair", {"confusables": True}, "éclair"),
        ("Łódź", {"confusables": True}, "Łódź"),
    ],
)
def test_by_choice(text: str, options: dict[str, Any], clean: str) -> None:
    assert cleaned(text, **options)[0] == clean


def test_allowed_characters() -> None:
    import re

    forbidden = re.compile(r"[^\w '-]")
    assert cleaned("O'Brien <b>-é", forbidden=forbidden) == ("O'Brien b-é", {"allowed"})
    assert cleaned("O'Brien", forbidden=forbidden) == ("O'Brien", set())


@given(st.text(max_size=60), st.booleans(), st.booleans())
def test_what_is_clean_stays_clean(text: str, collapse: bool, fold: bool) -> None:
    options: dict[str, Any] = {"collapse": collapse, "confusables": fold}
    once, changes = cleaned(text, **options)
    assert (once == text) is not bool(changes)
    assert cleaned(once, **options) == (once, set())


# What comes together once something between is gone.
APART = st.text(st.sampled_from(list("eа \t\r\n\x00\u0301\u200b\u2028\xa0<x")), max_size=12)


@given(APART, st.booleans(), st.booleans(), st.sampled_from([0, 1, 3]))
def test_what_comes_together_is_clean_too(
    text: str, collapse: bool, lines: bool, length: int
) -> None:
    forbidden = re.compile("[^e\u0301 \nx]")
    options: dict[str, Any] = {"collapse": collapse, "lines": lines, "length": length}
    for more in ({}, {"forbidden": forbidden}):
        once, _ = cleaned(text, **options, **more)
        assert cleaned(once, **options, **more) == (once, set())
