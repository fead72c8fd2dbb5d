"""The base of every section of the configuration. No section itself may live here."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class Settings(BaseModel):
    """Base of every section: unknown keys are errors, values can't change.

    shorthand: the setting that a bare value in place of the section sets; empty for none.
    off: what to write for none of what the section does, where leaving it out isn't that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    shorthand: ClassVar[str] = ""
    off: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _written_out(cls, value: Any) -> Any:
        bare = isinstance(value, str | int | float | list | tuple)
        # `true` is no value of any setting that stands for its section.
        if cls.shorthand and bare and not isinstance(value, bool):
            return {cls.shorthand: value}
        return value
