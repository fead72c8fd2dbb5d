"""The base of every section of the configuration. No section itself may live here."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of every section: unknown keys are errors, values can't change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
