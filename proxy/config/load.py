"""A configuration file, the environment and the command line to one checked document.

May live here: the order of sources, and checks between sections. Must not live here: how
YAML is read (`yaml_source`), how overrides find their place (`overrides`), or anything
about policies, whose options are checked against the catalog.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from proxy.config.diagnosis import diagnose
from proxy.config.model import Config
from proxy.config.overrides import apply
from proxy.config.problems import (
    ConfigError,
    Path,
    Place,
    Problem,
    beneath,
    meant,
    show_path,
)
from proxy.config.shape import without_empty
from proxy.config.yaml_source import Tree, read_file

NO_FILE: Final = Place("(no configuration file)")
NO_OVERRIDES: Final[Mapping[str, Any]] = MappingProxyType({})

# Stands in for an upstream that can't be used while the rest of the file is checked.
_STAND_IN: Final = "http://127.0.0.1:1"

# A shorter one would be found inside ordinary words.
_SHORTEST_SECRET: Final = 4


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration and where each part of it was written.

    raw: the data before the model gave it types. sources: the files that were read, in
    order, `!file` included; a change of any is a change of the configuration. digest:
    SHA-256 of the effective configuration, in hex. secrets: texts that are never printed.
    problems: empty, unless `load` was asked for what can be read of a broken file. broken:
    the paths that are not as written; what is wrong below one may only follow from that.
    """

    config: Config
    raw: Mapping[str, Any]
    keys: Mapping[Path, Place]
    values: Mapping[Path, Place]
    root: Place
    sources: tuple[FilePath, ...]
    digest: str
    secrets: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()
    broken: frozenset[str] = frozenset()

    def place(self, path: Path) -> Place:
        """Where the value at this path begins, or its nearest parent that was written."""
        return _nearest_place(self.values, path, self.root)

    def key_place(self, path: Path) -> Place:
        """Where the key at this path stands, or its nearest parent that was written."""
        return _nearest_place(self.keys, path, self.place(path))

    def problem(self, path: Path, message: str, place: Place | None = None) -> Problem:
        """A problem of the value at this path, with secrets replaced."""
        return Problem(place or self.place(path), show_path(path), self.hide(message))

    def hide(self, text: str) -> str:
        """The text with secrets replaced."""
        return _hide(text, self.secrets)

    def hide_all(self, value: Any) -> Any:
        """A copy of plain data with secrets replaced in every text, whatever it is called."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, Mapping):
            return {self.hide_all(key): self.hide_all(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.hide_all(item) for item in value]
        return value


def load(
    path: FilePath | None,
    *,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] = NO_OVERRIDES,
    partial: bool = False,
) -> Document:
    """Read a file, or none, and what stands above it.

    environ: variables for `${VAR}` and `SIDEGATE_...`. overrides: by dotted path, or
    `upstream` for the only one. partial: if anything of a broken file can be checked
    further, give a document with `problems` and stand-ins for the broken parts. It must not
    be run, and can't be: `make_plan` refuses it, with these problems and its own. Raises
    ConfigError with all problems.
    """
    tree = Tree(NO_FILE) if path is None else read_file(path, environ)
    if not isinstance(tree.data, dict):
        raise ConfigError(tree.problems)
    apply(tree, environ, overrides)
    data = without_empty(tree.data, Config)
    config, found = _validate(data, tree)
    broken = {problem.path for problem in tree.problems if problem.path}
    problems = list(tree.problems)
    problems += [problem for path, problem in found if not beneath(show_path(path), broken)]
    broken.update(show_path(path) for path, _ in found)
    if config is None:
        config, _ = _validate(_salvage(data, [path for path, _ in found]), tree)
    if config is not None:
        crossed = _cross_check(config, tree)
        problems += [problem for problem in crossed if not beneath(problem.path, broken)]
    problems = [
        Problem(problem.place, problem.path, _hide(problem.message, tree.secrets))
        for problem in problems
    ]
    if config is None or (problems and not partial):
        raise ConfigError(problems)
    return Document(
        config=config,
        raw=data,
        keys=tree.keys,
        values=tree.values,
        root=tree.root,
        sources=tuple(tree.files),
        digest=_digest(config),
        secrets=frozenset(tree.secrets),
        problems=tuple(problems),
        broken=frozenset(broken),
    )


def _validate(data: Any, tree: Tree) -> tuple[Config | None, list[tuple[Path, Problem]]]:
    try:
        return Config.model_validate(data), []
    except ValidationError as error:
        return None, diagnose(
            error,
            data,
            Config,
            value_place=lambda path: _nearest_place(tree.values, path, tree.root),
            key_place=lambda path: _nearest_place(tree.keys, path, tree.root),
        )


def _cross_check(config: Config, tree: Tree) -> Iterator[Problem]:
    """Names and addresses that must be unique, and names that must exist."""
    admin = config.admin.listen
    if admin in config.server.listen and not admin.endswith(":0"):
        place = _nearest_place(tree.values, ("admin", "listen"), tree.root)
        yield Problem(place, "admin.listen", f"{admin} is in `server.listen` too; choose another")
    first: dict[str, int] = {}
    for index, route in enumerate(config.routes):
        path: Path = ("routes", index, "name")
        if route.name in first:
            other = _nearest_place(tree.values, ("routes", first[route.name]), tree.root)
            message = f'route name "{route.name}" is already taken at line {other.line}'
            place = _nearest_place(tree.values, path, tree.root)
            yield Problem(place, show_path(path), message)
        first.setdefault(route.name, index)
        if route.upstream is not None and route.upstream not in config.upstreams:
            path = ("routes", index, "upstream")
            hint = meant(route.upstream, config.upstreams) or "; `upstreams:` is empty"
            if "://" in route.upstream:
                hint = "; write the address under `upstreams:`, and its name here"
            message = f'unknown upstream "{route.upstream}"{hint}'
            place = _nearest_place(tree.values, path, tree.root)
            yield Problem(place, show_path(path), message)


def _salvage(data: dict[str, Any], broken: list[Path]) -> dict[str, Any]:
    """The data with stand-ins where it is broken, so that the rest can be checked."""
    saved = dict(data)
    for section, *rest in broken:
        if section == "upstreams" and rest and isinstance(saved.get("upstreams"), dict):
            saved["upstreams"] = {**saved["upstreams"], str(rest[0]): _STAND_IN}
        elif section == "routes" and rest and isinstance(saved.get("routes"), list):
            rows = list(saved["routes"])
            index = int(rest[0])
            row = dict(rows[index]) if isinstance(rows[index], dict) else {}
            if len(rest) > 1:
                row.pop(rest[1], None)
            row.setdefault("name", f"route-{index}")
            rows[index] = row
            saved["routes"] = rows
        else:
            saved.pop(str(section), None)
    return saved


def _nearest_place(places: Mapping[Path, Place], path: Path, root: Place) -> Place:
    for length in range(len(path), 0, -1):
        place = places.get(path[:length])
        if place is not None:
            return place
    return root


def _hide(text: str, secrets: frozenset[str] | set[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "********")
    return text


def _digest(config: Config) -> str:
    """The same for the same settings, whatever order their keys have and where they come from."""
    plain = config.model_dump(mode="json", by_alias=True)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
