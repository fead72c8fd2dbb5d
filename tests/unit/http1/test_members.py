"""Lists, and commas inside quotes: RFC 9110, 5.6.1 and 5.6.4."""

from __future__ import annotations

import pytest

from proxy.http1.members import split_members, unquote


@pytest.mark.parametrize(
    ("text", "members", "closed"),
    [
        ("", [], True),
        (" , ,\t", [], True),
        ("a, b ,c", ["a", "b", "c"], True),
        ('a="x, y", b', ['a="x, y"', "b"], True),
        (r'a="x\", y", b', [r'a="x\", y"', "b"], True),
        ('"a" , "b,c"', ['"a"', '"b,c"'], True),
        ('a="x, b, c', ['a="x', "b", "c"], False),
        ('a, b="', ["a", 'b="'], False),
    ],
)
def test_members(text: str, members: list[str], closed: bool) -> None:
    assert split_members(text) == (members, closed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('""', ""),
        ('"a b"', "a b"),
        (r'"a\"b\\"', 'a"b\\'),
        ("a", None),
        ('"a', None),
        ('"a"b', None),
    ],
)
def test_unquoting(text: str, said: str | None) -> None:
    assert unquote(text) == said
