"""Entity tags: RFC 9110, 8.8.3."""

from __future__ import annotations

import pytest

from proxy.http1.entity_tag import match_strongly, match_weakly, read_tags


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (b"*", "*"),
        (b" * ", "*"),
        (b"", []),
        (b'"a"', [b'"a"']),
        (b'"a", W/"b" ,"c"', [b'"a"', b'W/"b"', b'"c"']),
        (b'"a,b", "c"', [b'"a,b"', b'"c"']),
        (b'""', [b'""']),
        (b"abc , def", [b"abc", b"def"]),
        (b'w/"a"', [b'w/"a"']),
        ('"ü"'.encode(), ['"ü"'.encode()]),
    ],
)
def test_lists(value: bytes, tags: list[bytes] | str) -> None:
    assert read_tags(value) == tags


@pytest.mark.parametrize(
    ("one", "other", "strongly", "weakly"),
    [
        (b'W/"1"', b'W/"1"', False, True),
        (b'W/"1"', b'W/"2"', False, False),
        (b'W/"1"', b'"1"', False, True),
        (b'"1"', b'"1"', True, True),
        (b'"1"', b"1", False, False),
    ],
)
def test_the_table_of_the_rfc(one: bytes, other: bytes, strongly: bool, weakly: bool) -> None:
    assert match_strongly(one, other) is match_strongly(other, one) is strongly
    assert match_weakly(one, other) is match_weakly(other, one) is weakly
