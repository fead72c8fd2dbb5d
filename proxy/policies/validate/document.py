"""An OpenAPI document as it was written: read from files, references followed, and its schemas
made JSON Schema of 2020-12, which OpenAPI 3.1's are already.

May live here: files, `$ref`, and what the dialects of schemas differ in. Must not live here:
operations, or requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, urldefrag, urljoin

import orjson
import yaml

from proxy.config.files import read_whole

Direction = Literal["request", "response"]

BASE: Final = "https://openapi.invalid/"
"""Stands for the folder of the document; nothing is ever fetched from it."""

_FILE_MAX: Final = 16 * 1024 * 1024
_FILES_MAX: Final = 200
_VALUES_MAX: Final = 1_000_000
_REFERENCES_MAX: Final = 32
_VERSION: Final = re.compile(r"3\.([01])\.\d+").match
# Keywords whose values are schemas, lists of them, or mappings of names to them.
_ONE: Final = (
    "additionalProperties", "items", "not", "if", "then", "else", "contains", "propertyNames",
    "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_MANY: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED: Final = ("properties", "patternProperties", "$defs", "dependentSchemas")


class _Loader(yaml.SafeLoader):
    """Plain data: dates stay text, as in JSON."""


_Loader.yaml_implicit_resolvers = {
    mark: [(tag, pattern) for tag, pattern in rows if not tag.endswith(":timestamp")]
    for mark, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Document:
    """A document and the files that it refers to. Raises ValueError with what is wrong.

    files: all that were read. root: the document itself.
    """

    def __init__(self, name: str) -> None:
        self._folder = Path(name).parent
        self._loaded: dict[str, Any] = {}
        self.files: list[str] = []
        self.uri = urljoin(BASE, Path(name).name)
        self.root = self._load(self.uri)
        version = self.root.get("openapi") if isinstance(self.root, dict) else None
        match = _VERSION(str(version))
        if match is None:
            found = f"version {version}" if version else "no `openapi: 3.…` at its top"
            raise ValueError(f"{name} is no OpenAPI document of 3.0 or 3.1: {found}")
        self._old = match[1] == "0"
        self._load_references()

    def resolve(self, value: Any, base: str) -> tuple[Any, str]:
        """What a value refers to, and the file that this is in. Raises ValueError."""
        for _ in range(_REFERENCES_MAX):
            if not isinstance(value, dict) or not isinstance(value.get("$ref"), str):
                return value, base
            target, fragment = urldefrag(urljoin(base, value["$ref"]))
            value, base = self._at(self._load(target), fragment, value["$ref"]), target
        raise ValueError(f"the reference {value['$ref']!r} leads in a circle")

    def resources(self, direction: Direction) -> list[tuple[str, Any]]:
        """Every file by its URI, with the schemas of one direction.

        What is `readOnly` need not be in requests, nor what is `writeOnly` in responses
        (OpenAPI, 4.8.24).
        """
        targets: set[str] = set()
        made = {
            uri: _Converter(self, uri, self._old, direction, targets).anything(data)
            for uri, data in self._loaded.items()
        }
        # What a schema refers to is a schema, wherever it stands.
        done: set[str] = set()
        while targets - done:
            target = min(targets - done)
            done.add(target)
            uri, fragment = urldefrag(target)
            if fragment.startswith("/"):
                node = self._at(self._load(uri), fragment, target)
                converter = _Converter(self, uri, self._old, direction, targets)
                _put(made[uri], fragment, converter.schema(node))
        return list(made.items())

    def converted(self, data: Any, uri: str, direction: Direction) -> Any:
        """A copy of a document or a part of one, in which every schema is one of 2020-12."""
        return _Converter(self, uri, self._old, direction, set()).anything(data)

    def _load(self, uri: str) -> Any:
        if uri in self._loaded:
            return self._loaded[uri]
        if not uri.startswith(BASE):
            raise ValueError(f"the reference to {uri} leads out of the files; copy it beside them")
        if len(self._loaded) >= _FILES_MAX:
            raise ValueError(f"the document refers to more than {_FILES_MAX} files")
        path = self._folder / unquote(uri.removeprefix(BASE))
        data = self._loaded[uri] = read_data(str(path))
        self.files.append(str(path))
        return data

    def _load_references(self) -> None:
        waiting = [(self.uri, self.root)]
        seen: set[int] = set()
        while waiting:
            base, value = waiting.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, list):
                waiting += [(base, entry) for entry in value]
            elif isinstance(value, dict):
                waiting += [(base, member) for member in value.values()]
                reference = value.get("$ref")
                if isinstance(reference, str) and not reference.startswith("#"):
                    target = urldefrag(urljoin(base, reference)).url
                    if target not in self._loaded:
                        waiting.append((target, self._load(target)))

    def _at(self, data: Any, fragment: str, reference: str) -> Any:
        for name in _steps(fragment):
            if isinstance(data, dict) and name in data:
                data = data[name]
            elif isinstance(data, list) and name.isdigit() and int(name) < len(data):
                data = data[int(name)]
            else:
                raise ValueError(f"the reference {reference!r} leads nowhere: there is no {name!r}")
        return data


def _steps(fragment: str) -> list[str]:
    """The steps of a pointer in a URI (RFC 6901, 6)."""
    return [step.replace("~1", "/").replace("~0", "~") for step in unquote(fragment).split("/")[1:]]


def _put(data: Any, fragment: str, value: Any) -> None:
    """Replace what a pointer leads to; it is known to be there."""
    *steps, last = _steps(fragment)
    for step in steps:
        data = data[int(step) if isinstance(data, list) else step]
    data[int(last) if isinstance(data, list) else last] = value


def read_data(name: str) -> Any:
    """The data of a YAML or JSON file. Raises ValueError."""
    content = read_whole(name, _FILE_MAX)
    try:
        if content.lstrip()[:1] in (b"{", b"["):
            return orjson.loads(content)
        data = yaml.load(content, Loader=_Loader)  # noqa: S506  # nosec B506
        if _size(data, {}) > _VALUES_MAX:
            raise ValueError(f"{name} holds more than {_VALUES_MAX} values, aliases written out")
        return _plain(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{name}, line {error.lineno}: {error.msg}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"{name}, line {line}: {error.problem}") from None
    except (yaml.YAMLError, RecursionError):
        raise ValueError(f"{name} is no YAML that can be read") from None


def _size(value: Any, known: dict[int, int]) -> int:
    """How many values there are once aliases are written out; too many for a circle."""
    if not isinstance(value, (dict, list)):
        return 1
    size = known.get(id(value))
    if size is None:
        known[id(value)] = _VALUES_MAX + 1
        members = value.values() if isinstance(value, dict) else value
        size = known[id(value)] = 1 + sum(_size(member, known) for member in members)
    return size


def _plain(value: Any) -> Any:
    """With names that are text, as in JSON."""
    if isinstance(value, dict):
        return {
            name if isinstance(name, str) else str(name): _plain(member)
            for name, member in value.items()
        }
    return [_plain(entry) for entry in value] if isinstance(value, list) else value


class _Converter:
    """Copies a document, with its schemas of one dialect and one direction.

    targets: takes what schemas refer to.
    """

    def __init__(
        self, document: Document, base: str, old: bool, direction: Direction, targets: set[str]
    ) -> None:
        self._targets = targets
        self._document = document
        self._base = base
        self._old = old
        self._absent = "readOnly" if direction == "request" else "writeOnly"

    def anything(self, value: Any) -> Any:
        """Outside of schemas."""
        if isinstance(value, list):
            return [self.anything(entry) for entry in value]
        if not isinstance(value, dict):
            return value
        made: dict[str, Any] = {}
        for name, member in value.items():
            if name == "schema":
                made[name] = self.schema(member)
            elif name == "schemas" and isinstance(member, dict):
                made[name] = {key: self.schema(entry) for key, entry in member.items()}
            elif name in ("example", "examples", "default", "enum"):
                made[name] = member
            else:
                made[name] = self.anything(member)
        return made

    def schema(self, value: Any) -> Any:
        """A schema."""
        if not isinstance(value, dict):
            return value
        made = dict(value)
        if isinstance(value.get("$ref"), str):
            # Absolute, since each schema is compiled by itself.
            made["$ref"] = urljoin(self._base, value["$ref"])
            self._targets.add(made["$ref"])
            if self._old:
                # Neighbours of a reference are ignored (OpenAPI 3.0, 4.7.23).
                return {"$ref": made["$ref"]}
        for keyword in _ONE:
            if keyword in made:
                made[keyword] = self.schema(made[keyword])
        for keyword in _MANY:
            if isinstance(made.get(keyword), list):
                made[keyword] = [self.schema(entry) for entry in made[keyword]]
        for keyword in _NAMED:
            if isinstance(made.get(keyword), dict):
                made[keyword] = {name: self.schema(row) for name, row in made[keyword].items()}
        if self._old:
            _modernise(made)
        if isinstance(made.get("required"), list) and isinstance(value.get("properties"), Mapping):
            made["required"] = [
                name for name in made["required"] if not self._is_absent(value, name)
            ]
        return made

    def _is_absent(self, schema: dict[str, Any], name: str) -> bool:
        member, _ = self._document.resolve(schema["properties"].get(name), self._base)
        return isinstance(member, Mapping) and member.get(self._absent) is True


def _modernise(schema: dict[str, Any]) -> None:
    """What 3.0 says in its own way (OpenAPI 3.0, 4.7.24.1), as 2020-12 says it."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        flag = schema.pop(exclusive, None)
        if flag is True and bound in schema:
            schema[exclusive] = schema.pop(bound)
        elif isinstance(flag, (int, float)) and not isinstance(flag, bool):
            schema[exclusive] = flag
    if schema.pop("nullable", False) is True and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    if schema.get("format") == "binary":
        schema.pop("format")
