"""JSON texts (RFC 8259): read within limits, and walked with the place of everything.

orjson reads; what it forgives or doesn't count is found in the skeleton of the text, which
is the text with nothing left of its strings: how deep it is nested, how many members were
written (more than there are in what was read means that a name was given twice), how long
its numbers are. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

_STRINGS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_QUOTED: Final = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"?', re.DOTALL)
_APOSTROPHES: Final = re.compile(r"'([^'\\]*(?:\\.[^'\\]*)*)'?", re.DOTALL)
_BETWEEN: Final = re.compile(r"[{}\[\],:\n]+")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_LETTERS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NESTING: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))
_NUMBER: Final = re.compile(rb"-?[0-9][0-9.eE+-]*")


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """How much one text may hold. None: as much as it likes.

    depth: of nesting, at most 500. keys: members of all objects together. items: entries of
    all arrays together. digits: characters of one number. name: characters of one name.
    duplicates: whether a name may be given twice in one object.
    """

    depth: int = 64
    keys: int | None = None
    items: int | None = None
    digits: int | None = None
    name: int | None = None
    duplicates: bool = False


UNLIMITED: Final = JsonLimits(depth=500, duplicates=True)
"""Whatever orjson reads: 1024 levels, and the last of equal names."""


class JsonError(Exception):
    """A text that is no JSON, or too much of it.

    malformed: it is none. pointer: where (RFC 6901), as far as known. The message says what
    is wrong and repeats nothing of the text.
    """

    def __init__(self, message: str, pointer: str = "", *, malformed: bool = False) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.malformed = malformed


def read_json(data: bytes, limits: JsonLimits = UNLIMITED) -> Any:
    """The value of a JSON text in UTF-8. Raises JsonError."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise JsonError(f"no valid JSON: {_what(error)}", malformed=True) from None
    if limits is UNLIMITED:
        return value
    # Strings of a text that is sound all end, so this takes linear time.
    skeleton = _STRINGS.sub(b'"', data)
    _check_depth(skeleton, limits.depth)
    if limits.digits is not None:
        for match in _NUMBER.finditer(skeleton):
            if match.end() - match.start() > limits.digits:
                raise JsonError(f"a number has more than {limits.digits} characters")
    written = skeleton.count(b":")
    if limits.keys is not None and written > limits.keys:
        raise JsonError(f"more than {limits.keys} names")
    if limits.duplicates and limits.items is None and limits.name is None:
        return value
    keys, items, longest = _measure(value)
    if limits.items is not None and items > limits.items:
        raise JsonError(f"more than {limits.items} entries in arrays")
    if limits.name is not None and longest > limits.name:
        raise JsonError(f"a name has more than {limits.name} characters")
    if not limits.duplicates and written != keys:
        raise JsonError("a name is given twice in one object", _first_duplicate(data))
    return value


def repeated_name(data: bytes, value: Any) -> str:
    """Pointer to a name that is given twice in one object of a text, given with its value; empty
    if there is none. Raises RecursionError for what is nested too deeply."""
    written = _STRINGS.sub(b'"', data).count(b":")
    return _first_duplicate(data) if written != _measure(value)[0] else ""


def _check_depth(skeleton: bytes, limit: int) -> None:
    brackets = skeleton.translate(_NESTING, _NO_BRACKET)
    # Each round takes the innermost level away.
    for _ in range(limit):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise JsonError(f"nested more than {limit} levels deep")


def _measure(value: Any) -> tuple[int, int, int]:
    """Members of all objects, entries of all arrays, and the length of the longest name."""
    keys = items = longest = 0
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            keys += len(current)
            for name, member in current.items():
                if len(name) > longest:
                    longest = len(name)
                if isinstance(member, (dict, list)):
                    waiting.append(member)
        elif isinstance(current, list):
            items += len(current)
            waiting += [entry for entry in current if isinstance(entry, (dict, list))]
    return keys, items, longest


def _first_duplicate(data: bytes) -> str:
    """Pointer to the first name that is given twice."""
    # Objects are told from the inside out, so its place is found by identity afterwards.
    twice: list[tuple[dict[str, Any], str]] = []

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(members)
        if len(made) != len(members):
            seen: set[str] = set()
            for name, _ in members:
                if name in seen:
                    twice.append((made, name))
                    break
                seen.add(name)
        return made

    value = json.loads(data, object_pairs_hook=pairs)
    names = {id(made): name for made, name in twice}
    for pointer, node in walk(value):
        if id(node) in names:
            return f"{pointer}/{escape(names[id(node)])}"
    return ""


def _what(error: orjson.JSONDecodeError) -> str:
    """orjson's own words, which hold the place and nothing of the text."""
    return str(error).partition(":")[0].strip()


def walk(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in a value with its pointer, itself first."""
    waiting: list[tuple[str, Any]] = [(pointer, value)]
    while waiting:
        pointer, current = waiting.pop()
        yield pointer, current
        if isinstance(current, dict):
            waiting += [
                (f"{pointer}/{escape(name)}", member) for name, member in reversed(current.items())
            ]
        elif isinstance(current, list):
            waiting += [
                (f"{pointer}/{place}", current[place]) for place in range(len(current) - 1, -1, -1)
            ]


def escape(name: str) -> str:
    """A name as a step of a pointer (RFC 6901, 3)."""
    if "~" in name or "/" in name:
        return name.replace("~", "~0").replace("/", "~1")
    return name


def texts(value: Any) -> list[str]:
    """All strings in a value, names included, in no particular order."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            found.append(current)
        elif isinstance(current, dict):
            found += current
            waiting += current.values()
        elif isinstance(current, list):
            waiting += current
    return found


def strings(text: str, value: Any = None) -> list[str]:
    """All strings of a JSON text as it is written, names included, in no particular order.

    Unlike `texts` it has those too that stand under a name that is given again. value: what
    the text was read to, if it was; that spares work.
    """
    if "\\" not in text:
        return text.split('"')[1::2]
    if value is not None and "\\\\" not in text:
        found = texts(value)
        if 2 * len(found) == text.count('"') - text.count('\\"'):
            return found
    return [_unescaped(row) for row in _QUOTED.findall(text)]


def loose_strings(text: str) -> list[str]:
    """Whatever a lenient reader may take for a string in a text that is no JSON: what stands in
    quotes of either kind, and what stands between signs."""
    bare = [part for row in _BETWEEN.split(text) if (part := row.strip())]
    return [*strings(text), *map(_unescaped, _APOSTROPHES.findall(text)), *bare]


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    if match[1] is not None:
        return chr(int(match[1], 16))
    return _LETTERS.get(match[2], match[2])
