"""Header fields by lower-case name, in the order they came in.

May live here: how fields are stored, found, changed and copied. Must not live here: what
any single field means (see `framing` and `forwarding`), or how bytes leave (`serialize`).

Fields are kept as the finished lines that leave, since most of them leave as they came and
one join then makes a head. Those of one name stand together, in their order; the order of
different names says nothing (RFC 9110, 5.3). So one dictionary holds all, and to copy, to set
and to drop are single steps: lists of lines and keys beside an index of values, which had to be
searched, took 1 µs more of a request of 18.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

Field = tuple[bytes, bytes]

_END: Final = b"\r\n"
_KEYS: dict[bytes, str] = {}
_KEYS_MAX: Final = 2048
_KEY_MAX_LENGTH: Final = 64


def key_of(name: bytes) -> str:
    """The look-up key of a field name: lower-case text (RFC 9110, 5.1: names ignore case).

    Remembered for short names up to a bound, so that hostile names can't grow the memory.
    """
    key = _KEYS.get(name)
    if key is None:
        key = name.decode("latin-1").lower()
        if len(name) <= _KEY_MAX_LENGTH and len(_KEYS) < _KEYS_MAX:
            _KEYS[bytes(name)] = key
    return key


def encode(text: str) -> bytes:
    """Text to field bytes: UTF-8, and bytes that came as surrogates leave as they came."""
    return text.encode("utf-8", "surrogateescape")


def decode(value: bytes) -> str:
    """Field bytes to text: UTF-8, with invalid bytes kept as surrogates."""
    return value.decode("utf-8", "surrogateescape")


class Defaults:
    """Fields for `Headers.fill`, laid out once. Raises ValueError for a repeated name."""

    __slots__ = ("lines",)

    def __init__(self, fields: Iterable[Field]) -> None:
        self.lines: dict[str, bytes] = {}
        for name, value in fields:
            key = key_of(name)
            if key in self.lines:
                raise ValueError(f"{key} is repeated")
            self.lines[key] = name + b": " + value


class Headers:
    """Fields in order; names are matched without regard to case.

    Look-up methods take lower-case names (`"content-type"`); `set` and `add` take the
    name as it shall appear on the wire.

    lines: by key, `Name: value` with one blank, in wire order; of a repeated field all lines,
    with a line end between them. Who sets a field of its own with every request writes the
    finished line there, since a call costs five times as much.
    """

    __slots__ = ("lines",)

    def __init__(self, fields: Iterable[Field] = (), lines: dict[str, bytes] | None = None) -> None:
        self.lines: dict[str, bytes] = {} if lines is None else lines
        for name, value in fields:
            self.append(name, value)

    @staticmethod
    def of(lines: dict[str, bytes]) -> Headers:
        """Take over what was built elsewhere; the caller must not keep it."""
        return Headers((), lines)

    def append(self, name: bytes, value: bytes) -> None:
        """Add a field, behind those of the same name (RFC 9110, 5.3)."""
        self.add_line(key_of(name), name + b": " + value)

    def raw(self, key: str) -> bytes | None:
        """The combined value of all fields named `key`, as bytes; None when absent."""
        line = self.lines.get(key)
        if line is None:
            return None
        return combined(key, line) if _END in line else line[len(key) + 2 :]

    def get(self, key: str, default: str | None = None) -> str | None:
        """The combined value of all fields named `key`, comma-separated (RFC 9110, 5.2)."""
        value = self.raw(key)
        return default if value is None else decode(value)

    def get_all(self, key: str) -> list[str]:
        """The value of each field line named `key`, in order."""
        if key not in self.lines:
            return []
        begin = len(key) + 2
        return [decode(line[begin:]) for line in self.lines[key].split(_END)]

    def set(self, name: str, value: str) -> None:
        """Replace every field of this name by one, at the same place."""
        self.set_raw(name.encode("latin-1"), encode(value))

    def set_raw(self, name: bytes, value: bytes) -> None:
        """As `set`, from bytes."""
        self.lines[_KEYS.get(name) or key_of(name)] = name + b": " + value

    def add_line(self, key: str, line: bytes) -> None:
        """As `append`, with the finished line."""
        lines = self.lines
        lines[key] = lines[key] + _END + line if key in lines else line

    def add(self, name: str, value: str) -> None:
        """Add a field, keeping those of the same name."""
        self.append(name.encode("latin-1"), encode(value))

    def remove(self, key: str) -> bool:
        """Remove every field named `key`; False when there was none."""
        return self.lines.pop(key, None) is not None

    def fill(self, defaults: Defaults) -> None:
        """Add each of the fields whose name is absent."""
        lines = self.lines
        for key in defaults.lines:
            if key in lines:
                break
        else:
            lines.update(defaults.lines)
            return
        for key, line in defaults.lines.items():
            lines.setdefault(key, line)

    def drop(self, keys: frozenset[str]) -> None:
        """Remove every field whose key is among `keys`."""
        lines = self.lines
        if keys.isdisjoint(lines):
            # As in all that is answered here; making an empty set costs thrice as much.
            return
        # `lines.keys() & keys` would look each of `keys` up, which may be many: 0.3 µs more.
        for key in keys.intersection(lines):
            del lines[key]

    def lacks(self, keys: frozenset[str]) -> bool:
        """There is no field whose key is among `keys`."""
        return keys.isdisjoint(self.lines)

    def fields(self) -> list[Field]:
        """Name and value of each field in wire order."""
        return [(line[: len(key)], line[len(key) + 2 :]) for key, line in self._each()]

    def items(self) -> Iterator[tuple[str, str]]:
        """Lower-case name and text of each field line, in order."""
        return ((key, decode(line[len(key) + 2 :])) for key, line in self._each())

    def _each(self) -> Iterator[tuple[str, bytes]]:
        """Each line with its key."""
        return ((key, line) for key, lines in self.lines.items() for line in lines.split(_END))

    def keys(self) -> Iterable[str]:
        """The distinct lower-case names."""
        return self.lines.keys()

    def copy(self) -> Headers:
        """An independent copy."""
        # In place of `of`, which would be one call more: two copies are made for a request.
        return Headers((), self.lines.copy())

    def __contains__(self, key: object) -> bool:
        return key in self.lines

    def __len__(self) -> int:
        return sum(1 for _ in self._each())

    def __repr__(self) -> str:
        return f"Headers({self.fields()!r})"


def combined(key: str, lines: bytes) -> bytes:
    """The values of fields of one name as one (RFC 9110, 5.3; cookies by RFC 6265 and RFC 9113,
    8.2.3). Set-Cookie can't be joined: its first value stays the answer of `get`.
    """
    begin = len(key) + 2
    values = [line[begin:] for line in lines.split(_END)]
    if key == "set-cookie":
        return values[0]
    return (b"; " if key == "cookie" else b", ").join(values)
