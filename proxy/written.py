"""The base of all that the user writes: sections of the configuration, and options of policies."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    ValidationInfo,
    WrapValidator,
    field_validator,
)

_OWN_WORD = (BeforeValidator, PlainValidator, WrapValidator)


class Written(BaseModel):
    """Unknown keys are errors, values can't change, and true and false are no numbers: YAML reads
    `on` and `yes` as true, which would count as 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        return number_only(value) if info.field_name in _numbers_of(cls) else value


def number_only(value: object) -> object:
    """What may be a number. Raises ValueError for true and false; for fields that read what is
    written for them by themselves."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no number; write one")
    return value


@cache
def _numbers_of(model: type[BaseModel]) -> frozenset[str]:
    """The fields that take numbers and no truth values, but for those that see to it themselves."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if not any(isinstance(fact, _OWN_WORD) for fact in field.metadata)
        and bool not in (kinds := set(_kinds(field.annotation)))
        and kinds & {int, float}
    )


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that an annotation allows, without those that have validators of their own."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        if not any(isinstance(fact, _OWN_WORD) for fact in inner[1:]):
            yield from _kinds(inner[0])
    elif origin in (Union, UnionType):
        for one in inner:
            yield from _kinds(one)
    else:
        yield annotation
