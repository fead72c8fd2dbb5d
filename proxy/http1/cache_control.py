"""Cache directives, from Cache-Control or from a field that targets Sidegate.

May live here: how directives are written. Must not live here: what a cache does about any
of them (see `policies/cache`). Pure.

How malformed ones are read, always to the careful side:

- Of a directive that is repeated the first counts (RFC 9111, 4.2.1); one that names fields
  counts as if it named none when it also came without.
- A number of seconds that is none, or that has blanks around its equals sign, is 0.
- A quote that isn't closed leaves directives behind it in force and takes away their values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from proxy.http1.members import split_members, unquote
from proxy.http1.structured import Token, read_dictionary

MAX_SECONDS: Final = 2**31
"""A larger number of seconds counts as this many (RFC 9111, 1.2.2)."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_DIGITS: Final = re.compile(r"[0-9]+").fullmatch
_FRESHNESS: Final = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})


class Directives:
    """Cache directives by lower-case name. Immutable.

    An argument is None when the directive came without, and `INVALID` when it can't be read.
    """

    __slots__ = ("_arguments",)

    def __init__(self, arguments: Mapping[str, str | None]) -> None:
        self._arguments = arguments

    def __contains__(self, name: str) -> bool:
        return name in self._arguments

    def __bool__(self) -> bool:
        return bool(self._arguments)

    def seconds(self, name: str) -> int | None:
        """The seconds that a directive gives, 0 if it gives none; None when it is absent."""
        if name not in self._arguments:
            return None
        argument = self._arguments[name]
        if argument is None or _DIGITS(argument) is None:
            return 0
        return min(int(argument[:20]), MAX_SECONDS)

    def argument(self, name: str) -> str:
        """What a directive was given, `INVALID` if that can't be read; empty for nothing."""
        return self._arguments.get(name) or ""

    def bare(self, name: str) -> bool:
        """The directive is there and names nothing that would limit it."""
        return name in self._arguments and not self.fields(name)

    def fields(self, name: str) -> frozenset[str]:
        """The lower-case fields that a directive names; none when it names none or is absent."""
        argument = self.argument(name)
        if not argument or argument == INVALID:
            return _NO_FIELDS
        return frozenset(part.strip(" \t").lower() for part in argument.split(",")) - {""}


_NO_FIELDS: Final[frozenset[str]] = frozenset()

INVALID: Final = "?"
"""Stands for an argument that can't be read."""
NO_DIRECTIVES: Final = Directives({})


@lru_cache(maxsize=1024)
def read_directives(value: bytes) -> Directives:
    """The directives of a Cache-Control value, its lines joined by commas."""
    members, closed = split_members(value.decode("latin-1"))
    arguments: dict[str, str | None] = {}
    for member in members:
        name, equals, argument = member.partition("=")
        key = name.rstrip(" \t").lower()
        if _TOKEN(key) is None:
            continue
        given: str | None = None
        if equals:
            given = _argument(argument) if closed and len(key) == len(name) else INVALID
        if key not in arguments:
            arguments[key] = given
        elif given is None and key in ("no-cache", "private"):
            arguments[key] = None
    return Directives(arguments)


@lru_cache(maxsize=1024)
def read_targeted(value: bytes) -> Directives | None:
    """The directives of a targeted field, such as CDN-Cache-Control (RFC 9213, 2.1).

    None when the field has to be ignored: it is no dictionary, an empty one, or a number of
    seconds in it isn't a number.
    """
    members = read_dictionary(value.decode("latin-1"))
    if not members:
        return None
    arguments: dict[str, str | None] = {}
    for name, item in members.items():
        if name in _FRESHNESS:
            if not isinstance(item, int) or isinstance(item, bool) or item < 0:
                return None
            arguments[name] = str(item)
        elif item is True:
            arguments[name] = None
        elif isinstance(item, (str, Token)):
            arguments[name] = str(item)
        elif item is not False:
            arguments[name] = INVALID
    return Directives(arguments)


def _argument(text: str) -> str:
    """The argument as a token or the text of a quoted string; both are allowed for all."""
    if _TOKEN(text) is not None:
        return text
    quoted = unquote(text)
    return INVALID if quoted is None else quoted
