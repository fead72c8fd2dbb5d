"""Durations, sizes, rates and shares as a person writes them: `250ms`, `32KiB`, `5/min`, `20%`.

A bare number of unknown unit is refused; only `0` needs none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

_DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS: Final = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip
_PERIODS: Final = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0,
}  # fmt: skip
_PERIOD_NAMES: Final = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}
# Digits are bounded: a longer number would overflow instead of being refused in words.
_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_SIZE: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s?([KMG]i?B|B)")
_SHARE: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s?%")
_NUMBER: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,9})?")
_WORDED: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s?([a-z]{1,12})")
_RATE: Final = re.compile(r"([0-9]{1,12})\s?([KMG]i?B|B)?\s?/\s?([0-9]{0,9})\s?([a-z]+)")


def parse_duration(value: object) -> float:
    """Seconds from `250ms`, `5s`, `1m`, `1m30s`, `2h`, `1d` or `0`. Raises ValueError."""
    text = "0s" if value == 0 and not isinstance(value, bool) else value
    if isinstance(text, str) and text.strip() == "0":
        text = "0s"
    if not isinstance(text, str):
        raise ValueError(_unitless("a duration", value, "s", "ms"))
    text = text.strip()
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration; write {_meant_duration(text)}")
    return float(sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts))


def _meant_duration(text: str) -> str:
    match = _WORDED.fullmatch(text.lower())
    name = match[2] if match else ""
    seconds = _PERIODS.get(name) or _PERIODS.get(name.removesuffix("s"))
    unit = next((unit for unit, factor in _DURATION_UNITS.items() if factor == seconds), "")
    return f"{match[1]}{unit}" if match and unit else "250ms, 5s, 1m30s, 2h or 1d"


def _meant_size(text: str) -> str:
    match = _WORDED.fullmatch(text.strip().lower())
    name = match[2].removesuffix("s") if match else ""
    # One letter alone means powers of two to most who write it.
    name += "ib" if name in ("k", "m", "g") else ""
    unit = next((unit for unit in _SIZE_UNITS if unit.lower() == name), "")
    return f"{match[1]}{unit}" if match and unit else "512B, 32KiB, 10MiB or 1GB"


def _meant_share(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return "20% or 0.5%"
    if value == 1:
        return "100%, or 1% for a hundredth"
    return f"{value * 100:g}%" if value < 1 else f"{value:g}%"


def _unitless(what: str, value: object, one: str, other: str) -> str:
    positive = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    number = value if positive else 5
    return f"{what} needs a unit, such as {number}{one} or {number}{other}"


def parse_size(value: object) -> int:
    """Bytes from `512B`, `32KiB`, `10MB`, `1GiB` or `0`. Raises ValueError."""
    if value == 0 and not isinstance(value, bool):
        return 0
    if not isinstance(value, str):
        raise ValueError(_unitless("a size", value, "B", "KiB"))
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        if value.strip() == "0":
            return 0
        raise ValueError(f"{value!r} is not a size; write {_meant_size(value)}")
    return int(float(match[1]) * _SIZE_UNITS[match[2]])


def parse_share(value: object) -> float:
    """A part of one from `20%`, `0.5%`, `100%` or `0`. Raises ValueError."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    if not isinstance(value, str):
        raise ValueError(f"a share needs a percent sign; write {_meant_share(value)}")
    match = _SHARE.fullmatch(value.strip())
    if match is None:
        if value.strip() == "0":
            return 0.0
        number = _NUMBER.fullmatch(value.strip())
        meant = _meant_share(float(number[0])) if number else "20% or 0.5%"
        raise ValueError(f"{value!r} is not a share; write {meant}")
    return float(match[1]) / 100.0


def show_duration(seconds: float) -> str:
    """The shortest spelling that `parse_duration` reads back."""
    if seconds == 0:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        amount = seconds / _DURATION_UNITS[unit]
        if amount >= 1 and amount == int(amount):
            return f"{int(amount)}{unit}"
    return f"{seconds * 1000:g}ms"


def show_size(count: int) -> str:
    """The shortest spelling that `parse_size` reads back."""
    for unit in ("GiB", "MiB", "KiB"):
        if count >= _SIZE_UNITS[unit] and count % _SIZE_UNITS[unit] == 0:
            return f"{count // _SIZE_UNITS[unit]}{unit}"
    return f"{count}B"


def show_share(part: float) -> str:
    """The spelling that `parse_share` reads back."""
    return f"{part * 100:g}%"


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` events, or bytes when `bytes` is set, in each `period` seconds."""

    count: int
    period: float
    bytes: bool = False

    @classmethod
    def parse(cls, value: object) -> Rate:
        """From `100/s`, `5/min`, `1000/day`, `10/30s`, `10MiB/min`. Raises ValueError."""
        if isinstance(value, Rate):
            return value
        match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None or match[4] not in _PERIODS:
            raise ValueError(f"{value!r} is not a rate; write 100/s, 5/min, 1000/hour or 10/30s")
        count, period = int(match[1]), float(match[3] or 1) * _PERIODS[match[4]]
        if count == 0 or period == 0:
            raise ValueError(f"{value!r} would admit nothing; to refuse all requests use `respond`")
        return cls(count * _SIZE_UNITS[match[2] or "B"], period, match[2] is not None)

    def __str__(self) -> str:
        name = _PERIOD_NAMES.get(self.period)
        count = show_size(self.count) if self.bytes else self.count
        return f"{count}/{name}" if name else f"{count}/{show_duration(self.period)}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "examples": ["100/s", "5/min"], "pattern": _RATE.pattern}


class _Unit:
    """Marks an annotated number as written with a unit.

    parse, show: from and to what is written. examples: for editors.
    """

    def __init__(
        self,
        kind: str,
        parse: Callable[[object], float],
        show: Callable[[Any], str],
        examples: list[str],
    ) -> None:
        self.kind = kind
        self._parse = parse
        self._show = show
        self._examples = examples

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        # The inner schema carries the bounds that a field adds, so it must not be dropped.
        return core_schema.no_info_before_validator_function(
            self._parse,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(self._show),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        # Among numbers only 0 needs no unit.
        return {
            "type": ["string", "integer"], "minimum": 0, "maximum": 0, "examples": self._examples,
        }  # fmt: skip


Duration = Annotated[
    float, _Unit("duration", parse_duration, show_duration, ["250ms", "5s", "1m30s"])
]
"""Seconds as a float; written `250ms`, `5s`, `1m30s`."""

Size = Annotated[int, _Unit("size", parse_size, show_size, ["512B", "32KiB", "10MiB"])]
"""Bytes as an int; written `512B`, `32KiB`, `10MiB`."""

Share = Annotated[float, _Unit("share", parse_share, show_share, ["20%", "0.5%"])]
"""A part of one as a float; written `20%`."""
