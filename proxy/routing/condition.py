"""Conditions on header fields and query parameters: `text`, `~regex`, or `*` for present.

May live here: the syntax of one condition and its test. Must not live here: routes.

A field that comes in several lines is tested as one comma-separated value (RFC 9110, 5.2);
a parameter that comes several times holds when any of its values does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxy.http1.headers import Headers, decode, encode
from proxy.http1.query import Parameters
from proxy.routing.path import read_regex

PRESENT: Final = "*"

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_HERE: Final = {
    "host": "use match.host",
    **dict.fromkeys(
        ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
         "upgrade"),
        "it is a hop-by-hop field, which routes never see; take it out",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. name: lower case for a field. text: as written; raw: it as bytes."""

    name: str
    text: str
    raw: bytes
    regex: re.Pattern[str] | None

    def holds_for_field(self, headers: Headers) -> bool:
        """Whether the field is there and has the value."""
        value = headers.raw(self.name)
        if value is None:
            return False
        if self.regex is not None:
            return self.regex.fullmatch(decode(value)) is not None
        return self.text == PRESENT or value == self.raw

    def holds_for_parameter(self, parameters: Parameters) -> bool:
        """Whether the parameter is there and one of its values is right."""
        values = parameters.get(self.name)
        if values is None:
            return False
        if self.regex is not None:
            fullmatch = self.regex.fullmatch
            return any(fullmatch(value) is not None for value in values)
        return self.text == PRESENT or self.text in values

    def wanted(self) -> str:
        """What is wanted of the value, to stand after a name."""
        if self.text == PRESENT:
            return "is missing"
        if self.regex is not None:
            return f"does not match {self.text}"
        return f"is not {self.text!r}"


def read_field_conditions(fields: Mapping[str, str]) -> tuple[Condition, ...]:
    """The conditions on header fields that a user wrote. Raises ValueError with the fix."""
    conditions: dict[str, Condition] = {}
    for name, text in fields.items():
        key = name.lower()
        if _TOKEN.fullmatch(name) is None:
            raise ValueError(f"{name!r} can't be the name of a header field")
        if key in _NOT_HERE:
            raise ValueError(f"{name}: {_NOT_HERE[key]}")
        if key in conditions:
            raise ValueError(f"{name} is given twice; the case of a name makes no difference")
        if text != text.strip(" \t"):
            raise ValueError(f"{name}: take out the spaces around the value; fields have none")
        if _CONTROL.search(text):
            raise ValueError(f"{name}: take out the control characters; no field contains them")
        conditions[key] = _read(key, text)
    return tuple(conditions.values())


def read_parameter_conditions(parameters: Mapping[str, str]) -> tuple[Condition, ...]:
    """The conditions on query parameters that a user wrote. Raises ValueError with the fix."""
    return tuple(_read(name, text) for name, text in parameters.items())


def _read(name: str, text: str) -> Condition:
    if text.startswith("~"):
        try:
            return Condition(name, text, b"", read_regex(text[1:]))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return Condition(name, text, encode(text), None)
