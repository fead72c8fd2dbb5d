"""Parameters of query, path, header fields and cookies, from texts to values (OpenAPI, 4.8.12).

May live here: styles of serialization, and what is missing or too much. Must not live here:
documents and operations, or what a value has to be (`schemas`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import orjson

from proxy.content.form import Pair
from proxy.content.json import escape
from proxy.errors import Violation
from proxy.policies.validate.schemas import Validate, coerce, shown, types_of

_SCHEMAS_MAX: Final = 64
_SEPARATORS: Final = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}

Resolve = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """How texts become a value. types: of the value. items: of a list's entries.

    properties: of an object's members, and of the entries of those that are lists; other
    members are of type `rest`.
    """

    types: frozenset[str]
    items: frozenset[str]
    properties: Mapping[str, frozenset[str]]
    rest: frozenset[str]

    @classmethod
    def of(cls, schema: Any, resolve: Resolve) -> Kind:
        """The kind that a schema asks for."""
        whole = resolve(schema)
        if not isinstance(whole, Mapping):
            whole = {}
        return cls(
            types_of(schema, resolve),
            types_of(whole.get("items"), resolve),
            _properties(schema, resolve),
            types_of(whole.get("additionalProperties"), resolve),
        )

    def is_list(self, name: str) -> bool:
        """Whether a member of an object is a list."""
        return "array" in self.of_member(name)

    def is_object(self, name: str) -> bool:
        """Whether a member of an object is one itself, and no text."""
        types = self.of_member(name)
        return "object" in types and "string" not in types

    def may_be_text(self, name: str) -> bool:
        """Whether a member of an object is a text, or may be anything."""
        types = self.of_member(name)
        return not types or "string" in types

    def of_member(self, name: str) -> frozenset[str]:
        """The types of a member of an object."""
        return self.properties.get(name, self.rest)


def _properties(schema: Any, resolve: Resolve) -> dict[str, frozenset[str]]:
    """The types of an object's members, wherever a schema tells of them."""
    found: dict[str, frozenset[str]] = {}
    waiting, seen = [schema], 0
    while waiting and seen < _SCHEMAS_MAX:
        current = resolve(waiting.pop())
        seen += 1
        if not isinstance(current, Mapping):
            continue
        for name, member in current.get("properties", {}).items():
            types = types_of(member, resolve)
            if "array" in types:
                types |= types_of(_items(resolve(member)), resolve)
            found[name] = found.get(name, frozenset()) | types
        for keyword in ("allOf", "anyOf", "oneOf"):
            waiting += current.get(keyword, ())
    return found


def _items(schema: Any) -> Any:
    return schema.get("items") if isinstance(schema, Mapping) else None


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation. validate: of its value. as_json: it is a JSON text."""

    place: str
    name: str
    required: bool
    style: str
    explode: bool
    as_json: bool
    kind: Kind
    validate: Validate

    def check(self, texts: list[str], pairs: list[Pair]) -> list[Violation]:
        """All that is wrong. texts: the values that came under its name. pairs: all there are."""
        try:
            found, value = self._read(texts, pairs)
        except ValueError as error:
            return [self._violation("", str(error))]
        if not found:
            return [self._violation("", "is missing")] if self.required else []
        return [
            self._violation(violation.pointer, violation.detail)
            for violation in self.validate(value)
        ]

    def _violation(self, pointer: str, detail: str) -> Violation:
        return Violation(self.place, shown(f"/{escape(self.name)}{pointer}"), detail)

    def _read(self, texts: list[str], pairs: list[Pair]) -> tuple[bool, Any]:
        """Whether there is a value, and which. Raises ValueError with what is wrong."""
        kind = self.kind
        if self.style == "deepObject":
            before = f"{self.name}["
            members = [
                (name[len(before) : -1], text)
                for name, text in pairs
                if name.startswith(before) and name.endswith("]")
            ]
            return bool(members), object_of(members, kind)
        if self.style == "form" and self.explode and "object" in kind.types and not texts:
            members = [(name, text) for name, text in pairs if name in kind.properties]
            return bool(members), object_of(members, kind)
        if not texts:
            return False, None
        in_one = self.as_json or not self.explode or self.place in ("path", "header")
        if in_one and len(texts) > 1:
            # Services take the first or the last.
            raise ValueError("is given twice")
        if self.as_json:
            try:
                return True, orjson.loads(texts[0])
            except orjson.JSONDecodeError:
                raise ValueError("is no JSON") from None
        if "array" in kind.types:
            if in_one:
                texts = texts[0].split(_SEPARATORS.get(self.style, ",")) if texts[0] else []
            return True, [coerce(text.strip(), kind.items) for text in texts]
        if "object" in kind.types and len(texts) == 1:
            return True, self._object(texts[0])
        if len(texts) > 1:
            # A list, where one value was asked for: the schema says so in its words.
            return True, [coerce(text, kind.types) for text in texts]
        return True, coerce(texts[0], kind.types)

    def _object(self, text: str) -> dict[str, Any]:
        parts = text.split(",")
        if self.explode:
            pairs = [part.partition("=")[::2] for part in parts]
        else:
            pairs = list(zip_longest(parts[::2], parts[1::2], fillvalue=""))
        return object_of(pairs, self.kind)


def object_of(pairs: list[Pair], kind: Kind) -> dict[str, Any]:
    """Pairs as one object: a name that came twice, or is to be a list, is a list."""
    gathered: dict[str, list[str]] = {}
    for name, text in pairs:
        gathered.setdefault(name, []).append(text)
    made: dict[str, Any] = {}
    for name, texts in gathered.items():
        types = kind.of_member(name)
        values = [coerce(text, types) for text in texts]
        made[name] = values if len(values) > 1 or "array" in types else values[0]
    return made
