"""Finds the policies there are, and computes the order in which they stand.

A policy is a module in `proxy/policies/`, the module `policy` of a folder there, or an
entry point of the group `sidegate.policies`, that gives a `PolicySpec` under the name
`POLICY`. Nothing here names a policy: adding one is adding its file.
"""

from __future__ import annotations

import heapq
import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, ModuleType
from typing import Final

import proxy.policies
from proxy.contract import PolicyOptions, PolicySpec

GROUP: Final = "sidegate.policies"

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


class CatalogError(Exception):
    """The installed policies don't fit together; the message names the one to mend."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The policies by name, and their order.

    order: names, outermost first: the first one sees a request first and its response
    last.
    """

    specs: Mapping[str, PolicySpec]
    order: tuple[str, ...]

    @classmethod
    def of(cls, specs: Iterable[PolicySpec]) -> Catalog:
        """A catalog of these. Raises CatalogError for equal names and circles."""
        by_name: dict[str, PolicySpec] = {}
        for spec in specs:
            if spec.name in by_name:
                raise CatalogError(f'two policies are called "{spec.name}"')
            by_name[spec.name] = spec
        ordered = _sort(by_name)
        return cls(MappingProxyType({name: by_name[name] for name in ordered}), ordered)


def load_catalog(
    package: ModuleType = proxy.policies, plugins: Iterable[EntryPoint] | None = None
) -> Catalog:
    """The policies of a package and of installed plug-ins. Raises CatalogError.

    plugins: entry points; by default those of the group `sidegate.policies`.
    """
    specs = [
        _checked(spec, f"module {name}") for name, spec in _built_in(package) if spec is not None
    ]
    for point in entry_points(group=GROUP) if plugins is None else plugins:
        source = f'plug-in "{point.name}" ({point.value})'
        try:
            loaded = point.load()
        except Exception as error:
            raise CatalogError(f"{source} can't be loaded: {_cause(error)}") from error
        spec = _checked(loaded, source)
        if any(spec.name == other.name for other in specs):
            raise CatalogError(f'{source}: there is a policy called "{spec.name}" already')
        specs.append(spec)
    return Catalog.of(specs)


def _built_in(package: ModuleType) -> Iterable[tuple[str, object]]:
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        name = f"{package.__name__}.{info.name}"
        if info.ispkg:
            # The folder's own `__init__.py` is empty by house rule.
            name += ".policy"
        try:
            module = importlib.import_module(name)
        except Exception as error:
            raise CatalogError(f"module {name} can't be imported: {_cause(error)}") from error
        yield name, getattr(module, "POLICY", None)


def _checked(spec: object, source: str) -> PolicySpec:
    if not isinstance(spec, PolicySpec):
        kind = type(spec).__name__
        raise CatalogError(f"{source} must give a PolicySpec named POLICY, not {kind}")
    if _NAME.fullmatch(spec.name) is None:
        raise CatalogError(
            f'{source}: "{spec.name}" is no policy name; use lower-case letters, digits and "_"'
        )
    options: object = spec.options
    if not (isinstance(options, type) and issubclass(options, PolicyOptions)):
        raise CatalogError(f"{source}: the options of {spec.name} must derive from PolicyOptions")
    return spec


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _sort(specs: Mapping[str, PolicySpec]) -> tuple[str, ...]:
    """Names, outermost first; where the constraints leave a choice, by the alphabet.

    Constraints that name policies that aren't installed say nothing; `*` names all that don't
    say `*` themselves. What isn't said to stand outside of one that is on by default stands
    inside of all of those, so that its refusals are put into an envelope, and have an ID.
    """
    ordinary = {name for name, spec in specs.items() if "*" not in spec.after}
    outside: dict[str, set[str]] = {
        name: set() if name in ordinary else ordinary.copy() for name in specs
    }
    for name, spec in specs.items():
        outside[name] |= {other for other in spec.after if other in specs}
        for other in spec.before:
            if other in specs:
                outside[other].add(name)
    defaults = {name for name in ordinary if specs[name].default}
    outer = _reached(outside, defaults)
    for name in specs:
        if name not in outer:
            outside[name] |= defaults
    inside: dict[str, list[str]] = {name: [] for name in specs}
    for name, others in outside.items():
        for other in others:
            inside[other].append(name)
    waiting = {name: len(others) for name, others in outside.items()}
    ready = [name for name, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        name = heapq.heappop(ready)
        order.append(name)
        for other in inside[name]:
            waiting[other] -= 1
            if waiting[other] == 0:
                heapq.heappush(ready, other)
    if len(order) < len(specs):
        circle = " after ".join(_circle(outside, set(specs) - set(order)))
        raise CatalogError(f"the order of policies runs in a circle: {circle}")
    return tuple(order)


def _reached(outside: Mapping[str, set[str]], names: Iterable[str]) -> set[str]:
    """These, and all that are said to stand outside of one of them."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(outside[name])
    return found


def _circle(outside: Mapping[str, set[str]], left: set[str]) -> list[str]:
    """One circle among the names left over, each name standing after the next."""
    name = min(left)
    walked: list[str] = []
    while name not in walked:
        walked.append(name)
        name = min(outside[name] & left)
    return [*walked[walked.index(name) :], name]
