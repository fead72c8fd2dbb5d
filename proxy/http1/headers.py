"""Header fields in wire order, with look-ups by lower-case name.

May live here: how fields are stored, found, changed and copied. Must not live here: what
any single field means (see `framing` and `forwarding`), or how bytes leave (`serialize`).

Fields are kept as the parser's own `(name, value)` byte pairs, so forwarding a message
copies no bytes; beside them an index maps each lower-case name to its combined value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

Field = tuple[bytes, bytes]

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


class Headers:
    """An ordered list of fields; names are matched without regard to case.

    Look-up methods take lower-case names (`"content-type"`); `set` and `add` take the
    name as it shall appear on the wire.
    """

    __slots__ = ("_fields", "_index")

    def __init__(self, fields: Iterable[Field] = ()) -> None:
        self._fields: list[Field] = []
        self._index: dict[str, bytes] = {}
        for name, value in fields:
            self.append(name, value)

    @classmethod
    def of(cls, fields: list[Field], index: dict[str, bytes]) -> Headers:
        """Take over lists that were built elsewhere; the caller must not keep them."""
        self = cls.__new__(cls)
        self._fields = fields
        self._index = index
        return self

    def append(self, name: bytes, value: bytes) -> None:
        """Add a field at the end, keeping those of the same name (RFC 9110, 5.3)."""
        self._fields.append((name, value))
        key = key_of(name)
        index = self._index
        if key in index:
            value = combine(key, index[key], value)
        index[key] = value

    def raw(self, key: str) -> bytes | None:
        """The combined value of all fields named `key`, as bytes; None when absent."""
        return self._index.get(key)

    def get(self, key: str, default: str | None = None) -> str | None:
        """The combined value of all fields named `key`, comma-separated (RFC 9110, 5.2)."""
        value = self._index.get(key)
        return default if value is None else decode(value)

    def get_all(self, key: str) -> list[str]:
        """The value of each field line named `key`, in order."""
        if key not in self._index:
            return []
        return [decode(value) for name, value in self._fields if key_of(name) == key]

    def set(self, name: str, value: str) -> None:
        """Replace every field of this name by one, at the place of the first."""
        self.set_raw(name.encode("latin-1"), encode(value))

    def set_raw(self, name: bytes, value: bytes) -> None:
        """As `set`, from bytes."""
        key = key_of(name)
        if key in self._index:
            fields: list[Field] = []
            placed = False
            known = _KEYS.get
            for field in self._fields:
                if (known(field[0]) or key_of(field[0])) != key:
                    fields.append(field)
                elif not placed:
                    fields.append((name, value))
                    placed = True
            self._fields = fields
        else:
            self._fields.append((name, value))
        self._index[key] = value

    def add(self, name: str, value: str) -> None:
        """Add a field, keeping those of the same name."""
        self.append(name.encode("latin-1"), encode(value))

    def remove(self, key: str) -> bool:
        """Remove every field named `key`; False when there was none."""
        if self._index.pop(key, None) is None:
            return False
        self._fields = [field for field in self._fields if key_of(field[0]) != key]
        return True

    def fill(self, defaults: Iterable[tuple[str, Field]]) -> None:
        """Add each `(key, field)` whose key is absent; keys are distinct and lower-case."""
        fields, index = self._fields, self._index
        for key, field in defaults:
            if key not in index:
                fields.append(field)
                index[key] = field[1]

    def drop(self, keys: frozenset[str]) -> None:
        """Remove every field whose key is among `keys`, in one pass."""
        index = self._index
        if keys.isdisjoint(index):
            return
        kept: list[Field] = []
        known = _KEYS.get
        for field in self._fields:
            # The look-up in place of a call to `key_of` halves the cost of the pass.
            key = known(field[0]) or key_of(field[0])
            if key in keys:
                index.pop(key, None)
            else:
                kept.append(field)
        self._fields = kept

    def fields(self) -> list[Field]:
        """The fields in wire order; read it, don't change it."""
        return self._fields

    def items(self) -> Iterator[tuple[str, str]]:
        """Lower-case name and text of each field line, in order."""
        return ((key_of(name), decode(value)) for name, value in self._fields)

    def keys(self) -> Iterable[str]:
        """The distinct lower-case names."""
        return self._index.keys()

    def copy(self) -> Headers:
        """An independent copy."""
        return Headers.of(self._fields.copy(), self._index.copy())

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


def combine(key: str, first: bytes, second: bytes) -> bytes:
    """Join two values of one name (RFC 9110, 5.3; cookies by RFC 6265 and RFC 9113, 8.2.3).

    Set-Cookie can't be joined: its first value stays the answer of `get`.
    """
    if key == "set-cookie":
        return first
    if key == "cookie":
        return first + b"; " + second
    return first + b", " + second
