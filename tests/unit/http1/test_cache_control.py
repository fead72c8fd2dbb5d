"""Cache directives: RFC 9111, 5.2 and 4.2.1, and RFC 9213, 2.1."""

from __future__ import annotations

import pytest

from proxy.http1.cache_control import MAX_SECONDS, read_directives, read_targeted


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("max-age=60", 60),
        ("MaX-aGe=60", 60),
        ('max-age="60"', 60),
        ("max-age=0060", 60),
        ("foo, max-age=60 , bar", 60),
        ('foo="max-age=1", max-age=60', 60),
        ('max-age=60, foo="max-age=1"', 60),
        ("max-age=60, max-age=1", 60),
        ("max-age=1, max-age=60", 1),
        ("max-age=2147483649", MAX_SECONDS),
        ("max-age=99999999999999999999999", MAX_SECONDS),
        # None of these is a number of seconds, so the response is stale.
        ("max-age", 0),
        ("max-age=", 0),
        ("max-age=-60", 0),
        ("max-age=60.0", 0),
        ("max-age=a60", 0),
        ("max-age=60a", 0),
        ("max-age='60'", 0),
        ("max-age =60", 0),
        ("max-age= 60", 0),
        ('foo="bar, max-age=60', 0),
        ("s-maxage=60", None),
        ('foo="max-age=60"', None),
        ("", None),
    ],
)
def test_seconds(text: str, seconds: int | None) -> None:
    assert read_directives(text.encode()).seconds("max-age") == seconds


@pytest.mark.parametrize(
    ("text", "bare", "fields"),
    [
        ("no-cache", True, set()),
        ("No-CaChE", True, set()),
        ('no-cache="a"', False, {"a"}),
        ('no-cache="A, b"', False, {"a", "b"}),
        ("no-cache=a", False, {"a"}),
        ('no-cache="a", no-cache', True, set()),
        ('no-cache, no-cache="a"', True, set()),
        ('no-cache=""', True, set()),
        ('no-cache="', True, set()),
        ("max-age=1", False, set()),
    ],
)
def test_directives_that_may_name_fields(text: str, bare: bool, fields: set[str]) -> None:
    directives = read_directives(text.encode())
    assert directives.bare("no-cache") is bare
    assert directives.fields("no-cache") == fields


def test_a_quote_that_is_not_closed_hides_nothing() -> None:
    directives = read_directives(b'foo="bar, no-store, max-age=60')
    assert "no-store" in directives
    assert directives.seconds("max-age") == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("max-age=60", 60),
        ("foo, max-age=60;a=b", 60),
        ("no-store", None),
        ("max-age=1, max-age=2", 2),
    ],
)
def test_a_targeted_field(text: str, seconds: int | None) -> None:
    directives = read_targeted(text.encode())
    assert directives is not None
    assert directives.seconds("max-age") == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", "MaX-aGe=60", "max-age =60", "max-age= 60", "max-age=60, &&&", 'max-age="60"',
        "max-age=6.0", "max-age=-1", "max-age", "max-age=60,",
    ],
)  # fmt: skip
def test_a_targeted_field_that_is_ignored(text: str) -> None:
    assert read_targeted(text.encode()) is None


def test_members_of_a_targeted_field() -> None:
    directives = read_targeted(b'no-store, private="a, b", no-cache=?0, foo=bar, must-revalidate=1')
    assert directives is not None
    assert "no-store" in directives
    assert directives.fields("private") == {"a", "b"}
    assert "no-cache" not in directives
    # Whatever value it has, a restriction that is there is there.
    assert "must-revalidate" in directives
