"""What the user writes: which values are no numbers."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BeforeValidator, Field, ValidationError

from proxy.written import Written


def own_word(value: object) -> object:
    return 7 if value is True else value


class Part(Written):
    count: int = 1
    share: float | None = None
    some: Annotated[int, Field(ge=0)] | Literal["auto"] = 0
    either: bool | int = 0
    yes: bool = False
    word: Annotated[int, BeforeValidator(own_word)] = 0
    names: tuple[str, ...] = ()


@pytest.mark.parametrize("field", ["count", "share", "some"])
@pytest.mark.parametrize(("value", "shown"), [(True, "true"), (False, "false")])
def test_true_and_false_are_no_numbers(field: str, value: bool, shown: str) -> None:
    with pytest.raises(ValidationError, match=f"{shown} is no number; write one"):
        Part.model_validate({field: value})


def test_other_values_are_taken_as_they_were() -> None:
    given = {"count": 2, "share": 0.5, "some": "auto", "either": True, "yes": True, "names": ["a"]}
    part = Part.model_validate({**given, "word": True})
    assert part.model_dump() == {**given, "word": 7, "names": ("a",)}
    assert part.either is True


def test_unknown_keys_are_refused_and_values_stay() -> None:
    with pytest.raises(ValidationError):
        Part.model_validate({"coutn": 1})
    with pytest.raises(ValidationError):
        Part().count = 2
