"""Durations, sizes and rates: what is read, what is refused, how they are shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from proxy.config.units import (
    Duration,
    Rate,
    Size,
    parse_duration,
    parse_share,
    parse_size,
    show_duration,
    show_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("5s", 5), ("1m30s", 90), ("2h", 7200), ("1d", 86400), ("0.5s", 0.5), (0, 0)],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("512B", 512), ("32KiB", 32768), ("10MB", 10_000_000), ("1.5 GiB", 3 * 2**29), (0, 0)],
)
def test_sizes(text: object, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize(
    ("text", "rate"),
    [("100/s", Rate(100, 1)), ("5/min", Rate(5, 60)), ("10 / 30s", Rate(10, 30))],
)
def test_rates(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    ("read", "value", "fix"),
    [
        (parse_duration, 5, "needs a unit, such as 5s"),
        (parse_duration, 5.5, "needs a unit"),
        (parse_duration, True, "needs a unit"),
        (parse_duration, None, "such as 5s or 5ms"),
        (parse_size, [], "such as 5B or 5KiB"),
        (parse_duration, "5 parsecs", "write 250ms"),
        (parse_duration, "", "write 250ms"),
        (parse_duration, "-5s", "write 250ms"),
        (parse_duration, "9" * 400 + "s", "is not a duration"),
        (parse_size, 32, "needs a unit, such as 32B"),
        (parse_size, "32 kilo", "write 512B"),
        (parse_size, "9" * 400 + "GiB", "is not a size"),
        (parse_duration, "5 seconds", "write 5s"),
        (parse_duration, "1.5Min", "write 1.5m"),
        (parse_duration, -5, "such as 5s"),
        (parse_size, "10M", "write 10MiB"),
        (parse_size, "10mb", "write 10MB"),
        (parse_share, 0.5, "write 50%"),
        (parse_share, "0.25", "write 25%"),
        (parse_share, 30, "write 30%"),
        (parse_share, 1, "write 100%, or 1% for a hundredth"),
        (parse_share, True, "write 20% or 0.5%"),
        (parse_share, "half", "write 20% or 0.5%"),
        (Rate.parse, "5", "write 100/s"),
        (Rate.parse, "5/fortnight", "write 100/s"),
        (Rate.parse, 5, "write 100/s"),
        (Rate.parse, "0/s", "use `respond`"),
        (Rate.parse, "5/0s", "use `respond`"),
    ],
)
def test_what_has_no_clear_meaning_is_refused_with_the_fix(
    read: Callable[[object], object], value: object, fix: str
) -> None:
    with pytest.raises(ValueError, match=r"is not|needs a|admit nothing") as caught:
        read(value)
    assert fix in str(caught.value)


@given(st.integers(min_value=0, max_value=10**9))
def test_what_is_shown_reads_back_as_the_same(amount: int) -> None:
    assert parse_size(show_size(amount)) == amount
    assert parse_duration(show_duration(amount)) == amount


@given(st.integers(min_value=1, max_value=10**6), st.integers(min_value=1, max_value=10**5))
def test_a_shown_rate_reads_back_as_the_same(count: int, period: int) -> None:
    assert Rate.parse(str(Rate(count, period))) == Rate(count, period)


class Section(BaseModel):
    head: Size = Field(default=2048, ge=1024)
    idle: Duration = Field(default=1.0, le=60)
    limit: Rate | None = None


class TestInModels:
    """As the fields of settings, with a bound of their own."""

    def test_bounds_of_a_field_hold(self) -> None:
        with pytest.raises(ValidationError) as caught:
            Section.model_validate({"head": "10B", "idle": "2m"})
        assert [error["type"] for error in caught.value.errors()] == [
            "greater_than_equal",
            "less_than_equal",
        ]

    @pytest.mark.parametrize("data", [{"head": 2048}, {"idle": 5.5}, {"idle": 5}])
    def test_bare_numbers_are_refused(self, data: dict[str, object]) -> None:
        with pytest.raises(ValidationError, match="needs a unit"):
            Section.model_validate(data)

    def test_they_are_written_out_with_their_units(self) -> None:
        section = Section.model_validate({"head": "4KiB", "idle": "500ms", "limit": "5/min"})
        written = section.model_dump(mode="json")
        assert written == {"head": "4KiB", "idle": "500ms", "limit": "5/minute"}
        assert Section.model_validate(written) == section
