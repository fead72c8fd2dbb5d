"""Which path of a document a request is for (OpenAPI, 4.8.8): templates, concrete ones first.

Knows no documents: what belongs to a template is whatever it was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_VARIABLE: Final = re.compile(r"\{([^{}]+)\}")
_ANYTHING: Final = "([^/]+?)"


@dataclass(slots=True)
class _Node(Generic[T]):
    """What may follow. exact: by segment. patterns: segments with variables."""

    exact: dict[str, _Node[T]] = field(default_factory=dict)
    patterns: list[tuple[re.Pattern[str], _Node[T]]] = field(default_factory=list)
    end: T | None = None


class PathIndex(Generic[T]):
    """Finds the template that a path fits. Raises ValueError for two that are the same."""

    def __init__(self, templates: Iterable[tuple[str, T]]) -> None:
        self._root: _Node[T] = _Node()
        for template, value in templates:
            self._add(template, value)

    def _add(self, template: str, value: T) -> None:
        node = self._root
        for segment in template.split("/")[1:]:
            parts = _VARIABLE.split(segment)
            if len(parts) == 1:
                node = node.exact.setdefault(segment, _Node())
                continue
            text = "".join(
                _ANYTHING if place % 2 else re.escape(part) for place, part in enumerate(parts)
            )
            below = next((row for known, row in node.patterns if known.pattern == text), None)
            if below is None:
                below = _Node()
                node.patterns.append((re.compile(text), below))
                # More literal characters first.
                node.patterns.sort(key=lambda row: -len(row[0].pattern.replace(_ANYTHING, "")))
            node = below
        if node.end is not None:
            raise ValueError(f"the path {template} stands for the same as another one")
        node.end = value

    def find(self, path: str) -> tuple[T, list[str]] | None:
        """What belongs to the template, and the variables' values in order."""
        return _find(self._root, path.split("/")[1:], 0, [])


def _find(
    node: _Node[T], segments: list[str], at: int, values: list[str]
) -> tuple[T, list[str]] | None:
    if at == len(segments):
        return None if node.end is None else (node.end, values)
    segment = segments[at]
    below = node.exact.get(segment)
    if below is not None:
        found = _find(below, segments, at + 1, values)
        if found is not None:
            return found
    for pattern, further in node.patterns:
        match = pattern.fullmatch(segment)
        if match is not None:
            found = _find(further, segments, at + 1, [*values, *match.groups()])
            if found is not None:
                return found
    return None


def variables_of(template: str) -> tuple[str, ...]:
    """The names of a template's variables in order."""
    return tuple(_VARIABLE.findall(template))
