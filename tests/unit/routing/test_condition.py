"""Conditions on header fields and query parameters."""

from __future__ import annotations

import re

import pytest

from proxy.http1.headers import Headers
from proxy.http1.query import read_query
from proxy.routing.condition import (
    read_field_conditions,
    read_parameter_conditions,
)

FIELDS = [(b"X-Version", b"2"), (b"Accept", b"a"), (b"accept", b"b"), (b"X-Bytes", b"\xff")]


@pytest.mark.parametrize(
    ("name", "text", "holds"),
    [
        ("x-version", "2", True),
        ("X-VERSION", "2", True),
        ("x-version", "2 3", False),
        ("x-version", "*", True),
        ("x-version", r"~\d", True),
        ("x-version", "~", False),
        ("x-missing", "*", False),
        ("x-missing", "~.*", False),
        ("x-missing", "", False),
        ("accept", "a, b", True),
        ("accept", "a", False),
        ("accept", "~.*b", True),
        ("x-bytes", "~.", True),
    ],
)
def test_a_field_is_tested_as_one_combined_value(name: str, text: str, holds: bool) -> None:
    (condition,) = read_field_conditions({name: text})
    assert condition.holds_for_field(Headers(FIELDS)) is holds


@pytest.mark.parametrize(
    ("query", "name", "text", "holds"),
    [
        ("a=1", "a", "1", True),
        ("a=1&a=2", "a", "2", True),
        ("a=1&a=2", "a", "3", False),
        ("a=1&a=22", "a", r"~2+", True),
        ("a=1", "A", "1", False),
        ("a", "a", "", True),
        ("a", "a", "*", True),
        ("", "a", "*", False),
        ("&&a=1&", "a", "1", True),
        ("a=b=c", "a", "b=c", True),
        ("a=x%20y", "a", "x y", True),
        ("a=x+y", "a", "x y", True),
        ("a=x%2By", "a", "x+y", True),
        ("%61=1", "a", "1", True),
        ("a=%0A", "a", "\n", True),
        ("a=%FF", "a", "\udcff", True),
        ("a=%zz", "a", "%zz", True),
        ("a=1;b=2", "b", "2", False),
    ],
)
def test_a_parameter_holds_when_any_of_its_values_does(
    query: str, name: str, text: str, holds: bool
) -> None:
    (condition,) = read_parameter_conditions({name: text})
    assert condition.holds_for_parameter(read_query(query)) is holds


@pytest.mark.parametrize(
    ("name", "text", "fix"),
    [
        ("Host", "a", "use match.host"),
        ("Upgrade", "websocket", "hop-by-hop"),
        ("x y", "1", "can't be the name of a header field"),
        ("", "1", "can't be the name of a header field"),
        ("x", " 1", "take out the spaces around the value"),
        ("x", "a\nb", "take out the control characters"),
        ("x", "~(", "x: ~(: not a regular expression"),
    ],
)
def test_a_wrong_field_condition_is_told_with_its_fix(name: str, text: str, fix: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fix)):
        read_field_conditions({name: text})


def test_a_field_named_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="x-a is given twice"):
        read_field_conditions({"X-A": "1", "x-a": "2"})


def test_a_wrong_regular_expression_for_a_parameter_names_it() -> None:
    with pytest.raises(ValueError, match=r"page: ~\[: not a regular expression"):
        read_parameter_conditions({"page": "~["})


@pytest.mark.parametrize(
    ("text", "words"),
    [("*", "is missing"), ("~v.", "does not match ~v."), ("2", "is not '2'")],
)
def test_what_is_wanted_is_told_in_words(text: str, words: str) -> None:
    (condition,) = read_parameter_conditions({"a": text})
    assert condition.wanted() == words
