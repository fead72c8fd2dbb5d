"""Dates of HTTP: RFC 9110, 5.6.7, and RFC 9111, 4.2."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.date import parse_date, show_date

NOW = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
THEN = datetime(2050, 8, 18, 2, 1, 18, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "Thu, 18 Aug 2050 02:01:18 GMT",
        "THU, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 AUG 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 gMT",
        "Thursday, 18-Aug-50 02:01:18 GMT",
        "Thu Aug 18 02:01:18 2050",
    ],
)
def test_the_three_forms(text: str) -> None:
    assert parse_date(text.encode(), NOW) == THEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "2050-08-18T02:01:18Z",
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 2050 02:01:18 AEST",
        "Thu, 18 Aug 2050 02:01:18 +0000",
        "Thu, 18 Aug 2050 02:01:18",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT",
        "Thu, 18 Aug 2050 2:01:18 GMT",
        "Thu, 18 Aug 2050 24:01:18 GMT",
        "Thu, 8 Aug 2050 02:01:18 GMT",
        "Thu, 31 Feb 2050 02:01:18 GMT",
        "Thu, 18 Foo 2050 02:01:18 GMT",
        "Foo, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:19 GMT",
        "Thursday, 18-Aug-2050 02:01:18 GMT",
        "Thu Aug  8 02:01:18 2050 GMT",
        " Thu, 18 Aug 2050 02:01:18 GMT",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert parse_date(text.encode(), NOW) is None


def test_a_single_digit_day_in_the_form_of_asctime() -> None:
    eighth = datetime(2050, 8, 8, 2, 1, 18, tzinfo=UTC).timestamp()
    assert parse_date(b"Mon Aug  8 02:01:18 2050", NOW) == eighth


@pytest.mark.parametrize(("short", "year"), [(50, 2050), (76, 2076), (77, 1977), (99, 1999)])
def test_a_year_of_two_digits_lies_at_most_50_years_ahead(short: int, year: int) -> None:
    expected = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    assert parse_date(b"Monday, 01-Jan-%02d 00:00:00 GMT" % short, NOW) == expected


def test_a_leap_second_is_the_second_before() -> None:
    assert parse_date(b"Sat, 31 Dec 2016 23:59:60 GMT", NOW) == parse_date(
        b"Sat, 31 Dec 2016 23:59:59 GMT", NOW
    )


@given(st.integers(min_value=0, max_value=253_402_300_799))
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert parse_date(show_date(seconds), NOW) == seconds


def test_a_fraction_is_rounded_down() -> None:
    assert show_date(784111777.9) == b"Sun, 06 Nov 1994 08:49:37 GMT"
