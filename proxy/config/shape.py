"""Which type the model has at a path; lets messages and overrides follow the model.

May live here: walking pydantic models and annotations. Must not live here: any name of a
section or option.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from proxy.config.problems import Path


def unwrap(annotation: Any) -> Any:
    """The annotation without `Annotated`, and without `None` when one type remains."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        if len(rest) == 1:
            return unwrap(rest[0])
    return annotation


def is_model(annotation: Any) -> bool:
    """Whether this is a class of settings."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def shorthand_of(annotation: Any) -> str:
    """The setting that a bare value in place of this section sets; empty for none."""
    return getattr(unwrap(annotation), "shorthand", "")


def may_be_null(annotation: Any) -> bool:
    """Whether `null` is a value of its own here."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if annotation is Any:
        return True
    return type(None) in get_args(annotation)


def key_of(name: str, info: FieldInfo) -> str:
    """The key that the user writes for a field."""
    return info.alias or name


def fields_of(annotation: Any) -> dict[str, FieldInfo]:
    """Fields of a model by the key that the user writes; empty for any other type."""
    kind = unwrap(annotation)
    if not is_model(kind):
        return {}
    return {key_of(name, info): info for name, info in kind.model_fields.items()}


def item_type(annotation: Any) -> Any | None:
    """Type of the members of a list or the values of a mapping; None for other types."""
    kind = unwrap(annotation)
    arguments = get_args(kind)
    if get_origin(kind) in (list, tuple, set, frozenset) and arguments:
        return arguments[0]
    if get_origin(kind) in (dict, Mapping) and len(arguments) == 2:
        return arguments[1]
    return None


def is_list(annotation: Any) -> bool:
    """Whether values of this type are written as lists."""
    kind = unwrap(annotation)
    return (get_origin(kind) or kind) in (list, tuple, set, frozenset)


def is_mapping(annotation: Any) -> bool:
    """Whether values of this type are mappings of names that the user chooses."""
    kind = unwrap(annotation)
    return (get_origin(kind) or kind) in (dict, Mapping)


def at(annotation: Any, path: Path) -> Any | None:
    """The type at a path below `annotation`; None where the model says nothing."""
    for step in path:
        if annotation is None:
            return None
        info = fields_of(annotation).get(str(step))
        annotation = info.annotation if info is not None else item_type(annotation)
    return annotation


def settings_paths(annotation: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all fields that can be named without a list or a name of the user's."""
    for key, info in fields_of(annotation).items():
        yield (*path, key)
        yield from settings_paths(info.annotation, (*path, key))


def without_empty(data: Any, annotation: Any) -> Any:
    """The data less sections that hold nothing, as when all their lines are commented out."""
    fields = fields_of(annotation)
    if isinstance(data, dict):
        kept: dict[str, Any] = {}
        for key, value in data.items():
            inner = fields[key].annotation if key in fields else item_type(annotation)
            composite = is_model(unwrap(inner)) or is_list(inner) or is_mapping(inner)
            if value is None and key in fields and composite:
                continue
            kept[key] = without_empty(value, inner)
        return kept
    if isinstance(data, list):
        inner = item_type(annotation)
        return [without_empty(value, inner) for value in data]
    return data
