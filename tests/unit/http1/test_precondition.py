"""Conditional requests: RFC 9110, 13.1 and 13.2.2, and RFC 9111, 4.3.2."""

from __future__ import annotations

import pytest

from proxy.http1.date import show_date
from proxy.http1.headers import Headers
from proxy.http1.precondition import not_modified, range_applies

NOW = 1795446245.0


def fields(**values: bytes | float) -> Headers:
    """Fields by name; a number is a date so many seconds from now."""
    return Headers(
        (
            name.replace("_", "-").encode(),
            value if isinstance(value, bytes) else show_date(NOW + value),
        )
        for name, value in values.items()
    )


@pytest.mark.parametrize(
    ("asked", "stored", "answer"),
    [
        (fields(), fields(etag=b'"a"'), False),
        (fields(if_none_match=b'"a"'), fields(etag=b'"a"'), True),
        (fields(if_none_match=b'"a"'), fields(etag=b'W/"a"'), True),
        (fields(if_none_match=b'"b", W/"a"'), fields(etag=b'"a"'), True),
        (fields(if_none_match=b'"b"'), fields(etag=b'"a"'), False),
        (fields(if_none_match=b'"b"'), fields(), False),
        (fields(if_none_match=b"*"), fields(), True),
        # If-None-Match has the word wherever it is given.
        (fields(if_none_match=b'"a"', if_modified_since=-9), fields(etag=b'"a"', date=0), True),
        (fields(if_none_match=b'"b"', if_modified_since=0), fields(etag=b'"a"', date=-9), False),
        (fields(if_modified_since=-30), fields(last_modified=-30), True),
        (fields(if_modified_since=-20), fields(last_modified=-30), True),
        (fields(if_modified_since=-40), fields(last_modified=-30), False),
        (fields(if_modified_since=-30), fields(last_modified=-30, date=0), True),
        (fields(if_modified_since=-30), fields(last_modified=b"then", date=0), False),
        (fields(if_modified_since=-30), fields(date=-30), True),
        (fields(if_modified_since=-30), fields(date=0), False),
        (fields(if_modified_since=-30), fields(), False),
        (fields(if_modified_since=0), fields(), True),
        (fields(if_modified_since=b"yesterday"), fields(last_modified=-30), False),
    ],
)
def test_not_modified(asked: Headers, stored: Headers, answer: bool) -> None:
    assert not_modified(asked, stored, NOW, NOW) is answer


@pytest.mark.parametrize(
    ("asked", "stored", "answer"),
    [
        (fields(), fields(), True),
        (fields(if_range=b'"a"'), fields(etag=b'"a"'), True),
        (fields(if_range=b'"b"'), fields(etag=b'"a"'), False),
        (fields(if_range=b'W/"a"'), fields(etag=b'W/"a"'), False),
        (fields(if_range=b'"a"'), fields(), False),
        (fields(if_range=-30), fields(last_modified=-30, date=-29), True),
        # In the second of its making it may have changed once more.
        (fields(if_range=-30), fields(last_modified=-30, date=-30), False),
        (fields(if_range=-30), fields(last_modified=-30), False),
        (fields(if_range=-20), fields(last_modified=-30, date=0), False),
        (fields(if_range=-30), fields(date=0), False),
    ],
)
def test_if_range(asked: Headers, stored: Headers, answer: bool) -> None:
    assert range_applies(asked, stored, NOW) is answer
