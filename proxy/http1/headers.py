"""Header fields in wire order, with look-ups by lower-case name.

May live here: how fields are stored, found, changed and copied. Must not live here: what
any single field means (see `framing` and `forwarding`), or how bytes leave (`serialize`).

Fields are kept as the finished lines that leave, since most of them leave as they came and
one join then makes a head. Beside them stand the key of each, and an index from key to
combined value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

Field = tuple[bytes, bytes]

_new: Final = object.__new__
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

    __slots__ = ("index", "keys", "lines")

    def __init__(self, fields: Iterable[Field]) -> None:
        self.lines: list[bytes] = []
        self.keys: list[str] = []
        self.index: dict[str, bytes] = {}
        for name, value in fields:
            key = key_of(name)
            if key in self.index:
                raise ValueError(f"{key} is repeated")
            self.lines.append(name + b": " + value)
            self.keys.append(key)
            self.index[key] = value


class Headers:
    """An ordered list of fields; names are matched without regard to case.

    Look-up methods take lower-case names (`"content-type"`); `set` and `add` take the
    name as it shall appear on the wire.

    lines: the fields as `Name: value`, in wire order. index: combined values by key. Read
    them, don't change them; what every request asks is asked of them directly, as a call
    costs three times a look-up.
    """

    __slots__ = ("_keys", "index", "lines")

    def __init__(self, fields: Iterable[Field] = ()) -> None:
        self.lines: list[bytes] = []
        self._keys: list[str] = []
        self.index: dict[str, bytes] = {}
        for name, value in fields:
            self.append(name, value)

    @classmethod
    def of(cls, lines: list[bytes], keys: list[str], index: dict[str, bytes]) -> Headers:
        """Take over what was built elsewhere; the caller must not keep it.

        lines: `Name: value`, one blank. keys: the look-up key of each. index: combined
        values by key.
        """
        self = cls.__new__(cls)
        self.lines = lines
        self._keys = keys
        self.index = index
        return self

    def append(self, name: bytes, value: bytes) -> None:
        """Add a field at the end, keeping those of the same name (RFC 9110, 5.3)."""
        self.lines.append(name + b": " + value)
        key = key_of(name)
        self._keys.append(key)
        index = self.index
        if key in index:
            value = combine(key, index[key], value)
        index[key] = value

    def raw(self, key: str) -> bytes | None:
        """The combined value of all fields named `key`, as bytes; None when absent."""
        return self.index.get(key)

    def get(self, key: str, default: str | None = None) -> str | None:
        """The combined value of all fields named `key`, comma-separated (RFC 9110, 5.2)."""
        value = self.index.get(key)
        return default if value is None else decode(value)

    def get_all(self, key: str) -> list[str]:
        """The value of each field line named `key`, in order."""
        if key not in self.index:
            return []
        begin = len(key) + 2
        return [
            decode(line[begin:])
            for own, line in zip(self._keys, self.lines, strict=True)
            if own == key
        ]

    def set(self, name: str, value: str) -> None:
        """Replace every field of this name by one, at the place of the first."""
        self.set_raw(name.encode("latin-1"), encode(value))

    def set_raw(self, name: bytes, value: bytes) -> None:
        """As `set`, from bytes."""
        key = _KEYS.get(name) or key_of(name)
        index = self.index
        if key not in index:
            self.lines.append(name + b": " + value)
            self._keys.append(key)
        else:
            place = self._keys.index(key)
            if self._keys.count(key) > 1:
                self._cut(key)
                self._keys.insert(place, key)
                self.lines.insert(place, b"")
            self.lines[place] = name + b": " + value
        index[key] = value

    def add_line(self, key: str, line: bytes, value: bytes) -> None:
        """As `append`, with the finished line."""
        index = self.index
        self.lines.append(line)
        self._keys.append(key)
        index[key] = combine(key, index[key], value) if key in index else value

    def put(self, key: str, line: bytes, value: bytes) -> None:
        """As `set_raw`, with the finished line: for who sets the same field every time."""
        index = self.index
        if key in index:
            self.set_raw(line[: len(key)], value)
        else:
            self.lines.append(line)
            self._keys.append(key)
            index[key] = value

    def add(self, name: str, value: str) -> None:
        """Add a field, keeping those of the same name."""
        self.append(name.encode("latin-1"), encode(value))

    def remove(self, key: str) -> bool:
        """Remove every field named `key`; False when there was none."""
        if self.index.pop(key, None) is None:
            return False
        self._cut(key)
        return True

    def fill(self, defaults: Defaults) -> None:
        """Add each of the fields whose name is absent."""
        index = self.index
        if defaults.index.keys().isdisjoint(index):
            self.lines += defaults.lines
            self._keys += defaults.keys
            index.update(defaults.index)
            return
        for line, key in zip(defaults.lines, defaults.keys, strict=True):
            if key not in index:
                self.lines.append(line)
                self._keys.append(key)
                index[key] = defaults.index[key]

    def drop(self, keys: frozenset[str]) -> None:
        """Remove every field whose key is among `keys`."""
        index = self.index
        for key in index.keys() & keys:
            del index[key]
            self._cut(key)

    def _cut(self, key: str) -> None:
        """Take out the lines of this key, of which there is one at least."""
        keys, lines = self._keys, self.lines
        while True:
            place = keys.index(key)
            del keys[place]
            del lines[place]
            if key not in keys:
                return

    def lacks(self, keys: frozenset[str]) -> bool:
        """There is no field whose key is among `keys`."""
        return keys.isdisjoint(self.index)

    def fields(self) -> list[Field]:
        """Name and value of each field in wire order."""
        return [
            (line[: len(key)], line[len(key) + 2 :])
            for key, line in zip(self._keys, self.lines, strict=True)
        ]

    def items(self) -> Iterator[tuple[str, str]]:
        """Lower-case name and text of each field line, in order."""
        return (
            (key, decode(line[len(key) + 2 :]))
            for key, line in zip(self._keys, self.lines, strict=True)
        )

    def keys(self) -> Iterable[str]:
        """The distinct lower-case names."""
        return self.index.keys()

    def copy(self) -> Headers:
        """An independent copy."""
        # In place of `of`, which would be one call more: two copies are made for a request.
        twin = _new(Headers)
        twin.lines = self.lines.copy()
        twin._keys = self._keys.copy()
        twin.index = self.index.copy()
        return twin

    def __contains__(self, key: object) -> bool:
        return key in self.index

    def __len__(self) -> int:
        return len(self.lines)

    def __repr__(self) -> str:
        return f"Headers({self.fields()!r})"


def combine(key: str, first: bytes, second: bytes) -> bytes:
    """Join two values of one name (RFC 9110, 5.3; cookies by RFC 6265 and RFC 9113, 8.2.3).

    Set-Cookie can't be joined: its first value stays the answer of `get`.
    """
    if key == "set-cookie":
        return first
    if key == "cookie":
        return first + b"; " + second
    return first + b", " + second
