"""How types and values of options look in YAML: for explanations and the reference."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from proxy.config.scalars import resolve
from proxy.config.shape import fields_of, is_list, is_mapping, is_model, item_type, unwrap
from proxy.config.units import Duration, Rate, Share, Size, show_size
from proxy.telemetry.redaction import redact

_WORDS: Final[dict[Any, str]] = {
    str: "text", int: "whole number", float: "number", bool: "true or false", Rate: "rate",
    Any: "anything", type(None): "null", IPv4Network: "network", IPv6Network: "network",
}  # fmt: skip
# What ends plain text, or begins something else within it.
_BREAKS: Final = (": ", " #", "\n", "\r", "\t")
_DURATION: Final = get_args(Duration)[1]
_SIZE: Final = get_args(Size)[1]
_SHARE: Final = get_args(Share)[1]


def as_written(value: Any, *, size: bool = False) -> str:
    """A value as one line of YAML. size: it is a number of bytes."""
    if size:
        return show_size(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value, _BREAKS)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_inner(k)}: {_inner(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_inner(item) for item in value) + "]"
    return str(value)


def _inner(value: Any) -> str:
    """A value inside brackets, where a comma would end it."""
    return _text(value, (*_BREAKS, *",[]{}")) if isinstance(value, str) else as_written(value)


def _text(value: str, breaks: tuple[str, ...]) -> str:
    """Text, in quotes when YAML would read it as something else without."""
    plain = (
        resolve(value) == value
        and value == value.strip()
        and value[0] not in "{}[]&*!|>'\"%@`#-?:,"
        and not value.endswith(":")
        and not any(mark in value for mark in breaks)
    )
    return value if plain else json.dumps(value, ensure_ascii=False)


def settings_of(options: BaseModel) -> Iterator[tuple[str, str]]:
    """Each option that has a value, with units as they are written; secrets are hidden."""
    plain = redact(options.model_dump(mode="json", by_alias=True, exclude_none=True, fallback=str))
    for key in fields_of(type(options)):
        if key in plain and not _empty(plain[key]):
            yield key, as_written(plain[key])


def _empty(value: Any) -> bool:
    """Whether a list or a mapping holds nothing, however deep."""
    if isinstance(value, dict):
        return all(map(_empty, value.values()))
    return isinstance(value, list) and not value


def default_of(info: FieldInfo, model: type[BaseModel], name: str) -> str:
    """A field's default as it is written; `required` if it has none."""
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "see below"
    dumped = model.model_construct(**{name: value}).model_dump(
        mode="json", include={name}, fallback=str, warnings=False
    )
    return as_written(dumped.get(name))


def kind_of(annotation: Any, metadata: list[Any] | None = None) -> str:
    """A type in the words of somebody who writes YAML."""
    parts = [*(metadata or ()), *getattr(annotation, "__metadata__", ())]
    if _DURATION in parts:
        return "duration"
    if _SIZE in parts:
        return "size"
    if _SHARE in parts:
        return "share"
    if hasattr(annotation, "__metadata__"):
        return kind_of(get_args(annotation)[0])
    origin = get_origin(annotation)
    if origin is Literal:
        return _either([f"`{as_written(choice)}`" for choice in get_args(annotation)])
    if origin in (Union, types.UnionType):
        kinds = [kind_of(part) for part in get_args(annotation) if part is not type(None)]
        return _either(list(dict.fromkeys(kinds)))
    if is_list(annotation):
        inner = item_type(annotation)
        return f"list of {kind_of(inner)}" if inner is not None else "list"
    if is_mapping(annotation):
        inner = item_type(annotation)
        return f"mapping of names to {kind_of(inner)}" if inner is not None else "mapping"
    if is_model(unwrap(annotation)):
        return "mapping"
    return _WORDS.get(annotation, getattr(annotation, "__name__", "text"))


def _either(kinds: list[str]) -> str:
    if len(kinds) < 2:
        return "".join(kinds)
    return ", ".join(kinds[:-1]) + f" or {kinds[-1]}"
