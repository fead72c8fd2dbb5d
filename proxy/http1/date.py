"""Dates of HTTP (RFC 9110, 5.6.7): three forms are read, one is written.

A date that is none of the three is no date: nothing here guesses, since what is guessed
would keep a response alive that its server meant to be gone. Letter case is forgiven
(RFC 9111, 4.2); another zone than GMT, missing digits and more blanks are not. Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from proxy.memo import Memo

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_NUMBERS: Final = {name.lower().encode(): number for number, name in enumerate(_MONTHS, 1)}

_CLOCK: Final = rb"([0-2][0-9]):([0-5][0-9]):([0-5][0-9]|60)"
_MONTH: Final = rb"([a-z]{3})"
# Thu, 18 Aug 2050 02:01:18 GMT
_FIXED: Final = re.compile(
    rb"(?:mon|tue|wed|thu|fri|sat|sun), ([0-9]{2}) "
    + _MONTH
    + rb" ([0-9]{4}) "
    + _CLOCK
    + rb" gmt",
    re.IGNORECASE,
)
# Thursday, 18-Aug-50 02:01:18 GMT
_RFC_850: Final = re.compile(
    rb"(?:mon|tues|wednes|thurs|fri|satur|sun)day, ([0-9]{2})-" + _MONTH + rb"-([0-9]{2}) "
    + _CLOCK + rb" gmt",
    re.IGNORECASE,
)  # fmt: skip
# Thu Aug 18 02:01:18 2050
_ASCTIME: Final = re.compile(
    rb"(?:mon|tue|wed|thu|fri|sat|sun) " + _MONTH + rb" ([0-9]{2}| [0-9]) " + _CLOCK
    + rb" ([0-9]{4})",
    re.IGNORECASE,
)  # fmt: skip

# Of the preferred form: most responses bear the date of the present second.
_KNOWN: Final[Memo[bytes, float]] = Memo(256)


def parse_date(value: bytes, now: float) -> float | None:
    """Seconds since 1970 from a date in any of the three forms; None for anything else.

    now: seconds since 1970; a year of two digits lies at most 50 years ahead of it.
    """
    known = _KNOWN.get(value)
    if known is not None:
        return known
    found = _FIXED.fullmatch(value)
    if found is not None:
        day, month, year, *clock = found.groups()
        seconds = _seconds(int(year), month, day, clock)
        if seconds is not None:
            _KNOWN[value] = seconds
        return seconds
    found = _RFC_850.fullmatch(value)
    if found is not None:
        day, month, short, *clock = found.groups()
        present = datetime.fromtimestamp(now, UTC).year
        year_ahead = present - present % 100 + int(short)
        return _seconds(
            year_ahead - 100 if year_ahead > present + 50 else year_ahead, month, day, clock
        )
    found = _ASCTIME.fullmatch(value)
    if found is not None:
        month, day, *clock, year = found.groups()
        return _seconds(int(year), month, day, clock)
    return None


def show_date(seconds: float) -> bytes:
    """Seconds since 1970 as a date in the preferred form, rounded down."""
    return _show(int(seconds))


@lru_cache(maxsize=64)
def _show(seconds: int) -> bytes:
    when = datetime.fromtimestamp(seconds, UTC)
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        _DAYS[when.weekday()].encode(), when.day, _MONTHS[when.month - 1].encode(), when.year,
        when.hour, when.minute, when.second,
    )  # fmt: skip


def _seconds(year: int, month: bytes, day: bytes, clock: list[bytes]) -> float | None:
    number = _NUMBERS.get(month.lower())
    if number is None:
        return None
    hour, minute, second = map(int, clock)
    try:
        # A leap second is the same moment as the second before, for any comparison here.
        when = datetime(year, number, int(day), hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    return when.timestamp()
