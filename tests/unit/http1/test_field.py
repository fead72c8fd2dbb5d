"""What people may write for a field's name and value."""

from __future__ import annotations

import pytest

from proxy.http1.field import Side, check_editable, check_name, check_value


@pytest.mark.parametrize("name", ["X-Team", "x", "$wsep", "a.b_c~d", "1"])
def test_tokens_are_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "a\n", "a(b)", "x" * 129])
def test_other_texts_are_not(name: str) -> None:
    with pytest.raises(ValueError, match="is not a field name"):
        check_name(name)


@pytest.mark.parametrize("value", ["", "a b", "é", '"x"; y=1', "\u2028"])
def test_one_line_is_a_value(value: str) -> None:
    assert check_value(value) == value


@pytest.mark.parametrize("value", ["a\nb", "a\r", "\x00", "\t", "\x7f", "\x85", "x" * 8193])
def test_more_than_one_line_or_a_control_character_is_not(value: str) -> None:
    with pytest.raises(ValueError, match="field value"):
        check_value(value)


@pytest.mark.parametrize(
    ("name", "side", "editable"),
    [
        ("X-Any", "request", True),
        ("Server", "response", True),
        ("Authorization", "request", True),
        ("connection", "request", False),
        ("Transfer-Encoding", "response", False),
        ("CONTENT-LENGTH", "response", False),
        ("Via", "response", False),
        ("Host", "request", False),
        ("Host", "response", True),
        ("X-Forwarded-For", "request", False),
        ("X-Forwarded-For", "response", True),
    ],
)
def test_sidegate_keeps_some_fields_to_itself(name: str, side: Side, editable: bool) -> None:
    if editable:
        assert check_editable(name, side) == name
    else:
        with pytest.raises(ValueError, match="can't be changed here: "):
            check_editable(name, side)
