"""A few small policies and files, for the tests of plans and what is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from proxy.catalog import Catalog
from proxy.config.load import Document, load
from proxy.config.units import Duration, Rate, Size
from proxy.contract import PolicyOptions, PolicySpec, Toolkit
from proxy.runtime.plan import Plan, make_plan


class Bucket(BaseModel):
    """Nested options."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    room: Size = 2048
    """How much fits in."""


class LimitOptions(PolicyOptions):
    """Admit so many requests.

    It is for tests | and for nothing else.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"limit": "5/min", "key": "global"}]})

    limit: Rate
    """How many."""
    key: str = "client_ip"
    """Whose."""
    wait: Duration = 1.5
    """How long."""
    burst: Annotated[int | None, Field(ge=1)] = None
    """At once."""
    bucket: Bucket = Bucket()
    """Where they go."""
    buckets: dict[str, Bucket] = Field(default_factory=dict)
    """Where more of them go."""
    names: tuple[str, ...] = ("a", "b")
    """What they are called."""
    kind: Literal["soft", "hard"] = "soft"
    """Which."""
    body: str = Field(default="", alias="json")
    """Has another name in Python."""


class AnswerOptions(PolicyOptions):
    """Answer by itself."""

    status: int = Field(default=200, ge=200, le=599)
    """Which status."""


class FussyOptions(PolicyOptions):
    """Its validator fails in a way of its own."""

    word: str = ""

    @field_validator("word")
    @classmethod
    def _fail(cls, value: str) -> str:
        raise LookupError(value)


def build(options: Any, toolkit: Toolkit) -> Any:
    """Nothing is built in these tests."""
    raise NotImplementedError


CATALOG = Catalog.of(
    [
        PolicySpec("ids", PolicyOptions, build, default=True),
        PolicySpec("errors", PolicyOptions, build, after={"ids"}, default=True),
        PolicySpec("limit", LimitOptions, build, after={"errors"}, shorthand="limit"),
        PolicySpec(
            "answer", AnswerOptions, build, after={"limit"}, shorthand="status", answers=True
        ),
        PolicySpec("fussy", FussyOptions, build, after={"limit"}),
    ]
)


def document_of(folder: Path, text: str, environ: dict[str, str] | None = None) -> Document:
    """The document of a file with this text, or what is left of it."""
    file = folder / "sidegate.yaml"
    file.write_text(text)
    return load(file, environ=environ or {}, partial=True)


def plan_of(folder: Path, text: str) -> Plan:
    """The plan of a file with this text, made with the small policies."""
    return make_plan(document_of(folder, text), CATALOG)
