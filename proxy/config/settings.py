"""The base of every section of the configuration. No section itself may live here."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator

from proxy.written import Written


class Settings(Written):
    """Base of every section.

    shorthand: the setting that a bare value in place of the section sets; empty for none.
    off: what to write for none of what the section does, where leaving it out isn't that.
    """

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
