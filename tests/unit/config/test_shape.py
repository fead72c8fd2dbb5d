"""Walking the model by the paths that users write."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from proxy.config.shape import (
    at,
    fields_of,
    is_list,
    is_mapping,
    may_be_null,
    settings_paths,
    unwrap,
    without_empty,
)


class Leaf(BaseModel):
    size: Annotated[int, Field(ge=1)] = 1
    given: str = Field(default="", alias="json")


class Root(BaseModel):
    leaf: Leaf = Leaf()
    maybe: Leaf | None = None
    leaves: dict[str, Leaf] = {}
    rows: tuple[Leaf, ...] = ()
    names: list[str] | None = None
    free: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (("leaf",), Leaf),
        (("maybe", "size"), int),
        (("leaves", "any name", "size"), int),
        (("rows", 3, "json"), str),
        (("nothing",), None),
        (("leaf", "size", "deeper"), None),
        (("free", "x"), Any),
        (("free", "x", "y"), None),
    ],
)
def test_the_type_at_a_path(path: tuple[str | int, ...], kind: object) -> None:
    assert unwrap(at(Root, path)) == kind


def test_keys_are_those_that_the_user_writes() -> None:
    assert list(fields_of(Leaf)) == ["size", "json"]
    assert fields_of(dict[str, Leaf]) == {}


def test_paths_that_need_no_name_of_the_users() -> None:
    assert ("leaf", "size") in set(settings_paths(Root))
    assert not any(path[:2] == ("leaves", "size") for path in settings_paths(Root))


def test_kinds_of_containers() -> None:
    assert is_list(list[str] | None)
    assert is_mapping(dict[str, Any])
    assert not is_list(str)
    assert may_be_null(list[str] | None)
    assert not may_be_null(str)


def test_a_section_with_all_lines_commented_out_is_as_good_as_absent() -> None:
    data = {"leaf": None, "rows": [{"json": None}], "free": {"policy": None}, "leaves": {"a": None}}
    assert without_empty(data, Root) == {
        "rows": [{"json": None}],
        "free": {"policy": None},
        "leaves": {"a": None},
    }
