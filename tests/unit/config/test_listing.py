"""One value where a list is asked for."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, ValidationError

from proxy.config.listing import ONE_OR_MANY, at_least_one


class Wanted(BaseModel):
    names: Annotated[tuple[str, ...], ONE_OR_MANY] = ()


def test_one_may_stand_for_a_list_of_one() -> None:
    assert Wanted.model_validate({"names": "a"}).names == ("a",)
    assert Wanted.model_validate({"names": ["a", "b"]}).names == ("a", "b")


def test_nothing_else_may() -> None:
    with pytest.raises(ValidationError):
        Wanted.model_validate({"names": 5})


def test_editors_are_told_so() -> None:
    row = Wanted.model_json_schema()["properties"]["names"]
    assert [form["type"] for form in row["anyOf"]] == ["array", "string"]


class Needed(BaseModel):
    numbers: Annotated[tuple[int, ...], AfterValidator(at_least_one), ONE_OR_MANY]


def test_a_list_may_have_to_hold_something() -> None:
    with pytest.raises(ValidationError, match="must have at least 1 entry"):
        Needed.model_validate({"numbers": []})
    with pytest.raises(ValidationError) as raised:
        Needed.model_validate({"numbers": ["x"]})
    assert raised.value.error_count() == 1, "what is in it, and not also that there is nothing"


@pytest.mark.parametrize("value", [True, [False], ("a", True)])
def test_true_and_false_are_no_entries(value: object) -> None:
    with pytest.raises(ValidationError, match="is no entry; write what is meant"):
        Wanted.model_validate({"names": value})
