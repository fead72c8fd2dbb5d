"""Structured field values (RFC 9651): dictionaries are read, strings and tokens written.

Strict as the RFC wants it: a value that fails anywhere fails as a whole. Pure.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable
from typing import Final, TypeVar

_T = TypeVar("_T")

_KEY: Final = re.compile(r"[a-z*][a-z0-9_.*-]*")
_TOKEN: Final = re.compile(r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*")
_NUMBER: Final = re.compile(r"-?([0-9]{1,15})(?:\.([0-9]{1,3}))?(?![0-9.])")
_STRING: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BYTES: Final = re.compile(r":([A-Za-z0-9+/=]*):")
_DISPLAY: Final = re.compile(r'%"((?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*)"')
_DATE: Final = re.compile(r"@(-?[0-9]{1,15})(?![0-9.])")
_BLANKS: Final = re.compile(r" *")
_OWS: Final = re.compile(r"[ \t]*")
_WHOLE_DIGITS: Final = 12


class Token(str):
    """A bare word, apart from a string in quotes."""

    __slots__ = ()


Item = bool | int | float | str | bytes | Token | tuple["Item", ...]
"""A value without its parameters; a tuple for an inner list. A date is its seconds."""


class _Malformed(Exception):
    """The value is no structured field."""


def read_dictionary(text: str) -> dict[str, Item] | None:
    """The members of a dictionary, without parameters; None when it is malformed.

    Of a key that is repeated the last counts (RFC 9651, 4.2.2).
    """
    reader = _Reader(text.strip(" "))
    try:
        return reader.dictionary()
    except _Malformed:
        return None


def show_string(text: str) -> str:
    """A string in quotes; what it can't hold becomes a question mark (RFC 9651, 4.1.6)."""
    safe = "".join(mark if " " <= mark <= "~" else "?" for mark in text)
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Reader:
    """Walks through a value once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def dictionary(self) -> dict[str, Item]:
        members: dict[str, Item] = {}
        while self._place < len(self._text):
            key = self._take(_KEY)[0]
            # The last one counts, also for the order.
            members.pop(key, None)
            members[key] = self._member()
            self._skip(_OWS)
            if self._place == len(self._text):
                return members
            self._expect(",")
            self._skip(_OWS)
            if self._place == len(self._text):
                raise _Malformed
        return members

    def _member(self) -> Item:
        if not self._at("="):
            self._parameters()
            return True
        self._expect("=")
        value = self._inner_list() if self._at("(") else self._item()
        self._parameters()
        return value

    def _inner_list(self) -> tuple[Item, ...]:
        self._expect("(")
        items: list[Item] = []
        while True:
            self._skip(_BLANKS)
            if self._at(")"):
                self._expect(")")
                return tuple(items)
            items.append(self._item())
            self._parameters()
            if not (self._at(" ") or self._at(")")):
                raise _Malformed

    def _parameters(self) -> None:
        while self._at(";"):
            self._expect(";")
            self._skip(_BLANKS)
            self._take(_KEY)
            if self._at("="):
                self._expect("=")
                self._item()

    def _item(self) -> Item:
        mark = self._text[self._place : self._place + 1]
        if mark == "-" or mark.isdigit():
            return self._read(_NUMBER, _number)
        if mark == '"':
            return self._read(_STRING, lambda found: re.sub(r"\\(.)", r"\1", found[1]))
        if mark == ":":
            return self._read(_BYTES, _bytes)
        if mark == "?":
            return self._read(_BOOLEAN, lambda found: found[1] == "1")
        if mark == "@":
            return self._read(_DATE, lambda found: int(found[1]))
        if mark == "%":
            return self._read(_DISPLAY, _display)
        return self._read(_TOKEN, lambda found: Token(found[0]))

    def _read(self, pattern: re.Pattern[str], make: Callable[[re.Match[str]], _T]) -> _T:
        return make(self._take(pattern))

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self._place)
        if found is None:
            raise _Malformed
        self._place = found.end()
        return found

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _at(self, mark: str) -> bool:
        return self._text.startswith(mark, self._place)

    def _expect(self, mark: str) -> None:
        if not self._at(mark):
            raise _Malformed
        self._place += 1


_BOOLEAN: Final = re.compile(r"\?([01])")


def _number(found: re.Match[str]) -> int | float:
    if found[2] is None:
        return int(found[0])
    if len(found[1]) > _WHOLE_DIGITS:
        raise _Malformed
    return float(found[0])


def _bytes(found: re.Match[str]) -> bytes:
    try:
        return b64decode(found[1] + "=" * (-len(found[1]) % 4))
    except binascii.Error:
        raise _Malformed from None


def _display(found: re.Match[str]) -> str:
    raw = re.sub(r"%([0-9a-f]{2})", lambda pair: chr(int(pair[1], 16)), found[1])
    try:
        return raw.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise _Malformed from None
