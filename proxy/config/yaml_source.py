"""YAML text to plain data, and the place of every key and value.

May live here: what YAML itself says, `${VAR}`, `!file`, and the bounds of hostile input.
Must not live here: any name of a section or option.

Data is built from the parser's events, not by PyYAML's loaders: they construct objects,
keep no places, take the last of two equal keys without a word, and follow aliases without
a bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

import yaml

from proxy.config.problems import Path, Place, Problem, show_path
from proxy.config.scalars import expand, is_variable, resolve

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_NODES: Final = 100_000
MAX_DEPTH: Final = 50
MAX_SECRET_BYTES: Final = 1024 * 1024

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING_TAGS: Final = frozenset({"!", "tag:yaml.org,2002:str"})
_COLLECTION_TAGS: Final = frozenset({"!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})

# What the parser says, and what usually makes it say so.
_HINTS: Final = (
    ("mapping values are not allowed", 'a ":" is out of place; quote text that holds ": "'),
    ("cannot start any token", "put quotes around text that begins so; indent with spaces"),
    ("expected alphabetic or numeric character", 'put quotes around "*..." and "&..."'),
    ("did not find expected key", "the indentation doesn't fit, or a quote isn't closed"),
    ("could not find expected ':'", 'a line without ":" stands where a key belongs'),
    ("did not find expected '-' indicator", "every entry of this list begins with a dash"),
)


@dataclass(slots=True)
class Tree:
    """What a file said. Its owner may still change it.

    data: mappings, lists and scalars; None when the text could not be read. keys, values:
    the places of both. files: the files that were read. secrets: texts that came from
    `!file` and are never printed.
    """

    root: Place
    data: Any = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    files: list[FilePath] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


def read_file(path: FilePath, environ: Mapping[str, str]) -> Tree:
    """Read a YAML file. What is wrong with it stands in the tree's problems."""
    tree = Tree(Place(str(path), 1, 1), files=[path])
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        tree.data = None
        reason = error.strerror or "unknown error"
        tree.problems.append(Problem(Place(str(path)), "", f"cannot be read: {reason}"))
        return tree
    if len(content) > MAX_BYTES:
        tree.data = None
        tree.problems.append(Problem(Place(str(path)), "", "is larger than 4MiB"))
        return tree
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        tree.data = None
        before = content[: error.start]
        place = Place(
            str(path), before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        )
        tree.problems.append(Problem(place, "", "is not UTF-8 from here on"))
        return tree
    read_text(text, tree, environ, path.parent)
    return tree


def read_text(text: str, tree: Tree, environ: Mapping[str, str], folder: FilePath) -> None:
    """Read YAML text into `tree`; `!file` is relative to `folder`."""
    try:
        root = _compose(text, tree.root.file)
        if root is None:
            return
        builder = _Builder(tree, environ, folder)
        data = builder.build(root, (), 0)
    except _Unreadable as failure:
        tree.data = None
        tree.problems.append(failure.problem)
        return
    if data is None:
        return
    if not isinstance(data, dict):
        tree.data = None
        tree.problems.append(
            Problem(root.place, "", f'must be a mapping ("key: value" lines), not {_kind(data)}')
        )
        return
    tree.data = data


class _Unreadable(Exception):
    """Reading can't go on."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(place, "", message)


@dataclass(slots=True)
class _Node:
    """A scalar's text, a list's members, or a mapping's keys and values in turn."""

    kind: str
    place: Place
    tag: str | None = None
    plain: bool = False
    text: str = ""
    members: list[_Node] = field(default_factory=list)


def _compose(text: str, file: str) -> _Node | None:
    """The tree of nodes, with aliases followed by reference. Raises _Unreadable."""
    anchors: dict[str, _Node] = {}
    open_nodes: list[tuple[_Node, str | None]] = []
    root: _Node | None = None
    count = 0
    for event in _events(text, file):
        place = Place(file, event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise _Unreadable(place, "a second document begins here; a configuration is one")
        if isinstance(event, yaml.ScalarEvent):
            plain = bool(event.implicit[0])
            node = _Node("scalar", place, event.tag, plain, event.value)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                raise _Unreadable(
                    place,
                    f"*{event.anchor} names no anchor that ends before it; text goes in quotes",
                )
            node = anchors[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            kind = "mapping" if isinstance(event, yaml.MappingStartEvent) else "list"
            open_nodes.append((_Node(kind, place, event.tag), event.anchor))
            if len(open_nodes) > MAX_DEPTH:
                raise _Unreadable(place, f"is nested more than {MAX_DEPTH} levels deep")
            continue
        elif isinstance(event, yaml.CollectionEndEvent):
            node, anchor = open_nodes.pop()
            if anchor is not None:
                anchors[anchor] = node
        else:
            continue
        count += 1
        if count > MAX_NODES:
            raise _Unreadable(place, f"holds more than {MAX_NODES} values")
        if isinstance(event, yaml.ScalarEvent) and event.anchor is not None:
            anchors[event.anchor] = node
        if open_nodes:
            open_nodes[-1][0].members.append(node)
        else:
            root = node
    return root


def _events(text: str, file: str) -> Iterator[Any]:
    """Parser events. Raises _Unreadable with the place of the first syntax error."""
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error, text.splitlines(), file) from None
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        before = text[:position] if isinstance(position, int) else ""
        place = Place(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        raise _Unreadable(place, "holds a control character, which YAML forbids") from None


def _unreadable(error: yaml.MarkedYAMLError, lines: list[str], file: str) -> _Unreadable:
    """What the parser says, in words and with what usually makes it say so."""
    mark, began = error.problem_mark or error.context_mark, error.context_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
    start = Place(file, began.line + 1, began.column + 1) if began else place
    said = error.problem or "syntax error"
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent or line[place.column - 1 : place.column] == "\t":
        place = place._replace(column=line.index("\t") + 1)
        return _Unreadable(place, "not valid YAML: a tab indents this line; write spaces")
    if "unexpected end of stream" in said:
        return _Unreadable(start, "not valid YAML: the quote that begins here isn't closed")
    hint = next((words for part, words in _HINTS if part in said), "")
    if "${" in line:
        hint = 'inside {...} and [...] quote it: "${NAME}"'
    elif "',' or" in said:
        hint = f"the bracket at {start.line}:{start.column} isn't closed, or a comma is missing"
    return _Unreadable(place, f"not valid YAML: {said}" + (f" ({hint})" if hint else ""))


class _Builder:
    """Turns nodes into data, and notes places and problems on the way."""

    def __init__(self, tree: Tree, environ: Mapping[str, str], folder: FilePath) -> None:
        self._tree = tree
        self._environ = environ
        self._folder = folder
        self._count = 0

    def build(self, node: _Node, path: Path, depth: int) -> Any:
        """The data of a node, aliases written out. Raises _Unreadable beyond the bounds."""
        self._count += 1
        if self._count > MAX_NODES:
            raise _Unreadable(node.place, f"holds more than {MAX_NODES} values, by its aliases")
        if depth > MAX_DEPTH:
            raise _Unreadable(node.place, f"is nested more than {MAX_DEPTH} levels deep")
        self._tree.values[path] = node.place
        if node.kind == "scalar":
            return self._scalar(node, path)
        if node.tag is not None and node.tag not in _COLLECTION_TAGS:
            self._unknown_tag(node, path)
        if node.kind == "list":
            return [
                self.build(member, (*path, index), depth + 1)
                for index, member in enumerate(node.members)
            ]
        return self._mapping(node, path, depth)

    def _mapping(self, node: _Node, path: Path, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in self._pairs(node, path, depth):
            key = key_node.text
            self._tree.keys[(*path, key)] = key_node.place
            data[key] = self.build(value_node, (*path, key), depth + 1)
        return data

    def _pairs(self, node: _Node, path: Path, depth: int) -> list[tuple[_Node, _Node]]:
        """Keys and values, those that `<<` merges in last, each key once."""
        chosen: dict[str, tuple[_Node, _Node]] = {}
        merged: list[tuple[_Node, _Node]] = []
        if depth > MAX_DEPTH:
            raise _Unreadable(node.place, f"is nested more than {MAX_DEPTH} levels deep")
        for key, value in zip(node.members[::2], node.members[1::2], strict=True):
            if key.kind != "scalar":
                self._problem(key.place, path, "a key must be text, not a list or mapping")
            elif key.plain and key.text == "<<":
                merged += self._merged(value, path, depth)
            elif key.text in chosen:
                first = chosen[key.text][0].place
                self._problem(
                    key.place,
                    (*path, key.text),
                    f'"{key.text}" is given twice, first at {first.line}:{first.column}',
                )
            else:
                chosen[key.text] = (key, value)
        for key, value in merged:
            chosen.setdefault(key.text, (key, value))
        return list(chosen.values())

    def _merged(self, node: _Node, path: Path, depth: int) -> list[tuple[_Node, _Node]]:
        sources = node.members if node.kind == "list" else [node]
        pairs: list[tuple[_Node, _Node]] = []
        for source in sources:
            if source.kind != "mapping":
                self._problem(source.place, path, '"<<" takes a mapping, as in <<: *defaults')
                continue
            self._count += 1 + len(source.members)
            if self._count > MAX_NODES:
                raise _Unreadable(source.place, f"holds more than {MAX_NODES} values")
            pairs += self._pairs(source, path, depth + 1)
        return pairs

    def _scalar(self, node: _Node, path: Path) -> Any:
        try:
            text = expand(node.text, self._environ)
        except ValueError as error:
            self._problem(node.place, path, str(error))
            return None
        if node.tag == "!file":
            return self._file(text, node, path)
        if node.tag is not None and node.tag not in _STRING_TAGS:
            self._unknown_tag(node, path)
            return None
        # Half of a value from a variable is text; a whole one may be a number or null.
        if node.plain and ("$" not in node.text or is_variable(node.text)):
            return resolve(text)
        return text

    def _file(self, name: str, node: _Node, path: Path) -> str | None:
        if not name:
            self._problem(node.place, path, "!file needs a path, as in !file /run/secrets/key")
            return None
        file = self._folder / name
        self._tree.files.append(file)
        try:
            with file.open("rb") as stream:
                content = stream.read(MAX_SECRET_BYTES + 1)
            if len(content) > MAX_SECRET_BYTES:
                raise ValueError("is larger than 1MiB")
            text = content.decode("utf-8")
        except OSError as error:
            reason = error.strerror or "unknown error"
            self._problem(node.place, path, f"!file {file}: cannot be read: {reason}")
            return None
        except UnicodeDecodeError:
            self._problem(node.place, path, f"!file {file}: is not UTF-8 text")
            return None
        except ValueError as error:
            self._problem(node.place, path, f"!file {file}: {error}")
            return None
        text = text.removesuffix("\n").removesuffix("\r")
        if text:
            self._tree.secrets.add(text)
        return text

    def _unknown_tag(self, node: _Node, path: Path) -> None:
        tag = (node.tag or "").replace("tag:yaml.org,2002:", "!!")
        self._problem(node.place, path, f"unknown tag {tag}; the only one is !file")

    def _problem(self, place: Place, path: Path, message: str) -> None:
        self._tree.problems.append(Problem(place, show_path(path), message))


def _kind(data: object) -> str:
    return "a list" if isinstance(data, list) else "one value"
