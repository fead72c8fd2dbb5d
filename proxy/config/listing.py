"""Options that take one value where they would take a list of one."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")


class _OneOrMany:
    """Marks an annotated tuple: `methods: GET` says what `methods: [GET]` says."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        listed = handler(schema)
        return {"anyOf": [listed, listed.get("items", {})]}


def _listed(value: object) -> object:
    if value is None:
        return None
    rows = value if isinstance(value, (list, tuple)) else [value]
    for row in rows:
        if isinstance(row, bool):
            # What takes numbers would take it for 1, and the network 0.0.0.1 for that.
            raise ValueError(
                f"{str(row).lower()} is no entry; write what is meant, or leave it out"
            )
    return rows


def at_least_one(value: tuple[T, ...]) -> tuple[T, ...]:
    """For `AfterValidator`: a list that can't be empty.

    As a validator it says nothing about a list whose entries are wrong themselves.
    """
    if not value:
        raise ValueError("must have at least 1 entry")
    return value


ONE_OR_MANY: Final = _OneOrMany()
"""For `Annotated[tuple[...], ONE_OR_MANY]`, whose entries are not lists themselves."""
