"""What the user writes for `validate`, with its schemas and its document compiled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, PrivateAttr, model_validator

from proxy.config.listing import ONE_OR_MANY
from proxy.config.units import Size
from proxy.contract import PolicyOptions, Written
from proxy.policies.validate.document import read_data
from proxy.policies.validate.openapi import OpenApi
from proxy.policies.validate.parameters import Kind
from proxy.policies.validate.schemas import Validate, compile_schema


def _media(text: str) -> str:
    kind, slash, rest = text.partition("/")
    if text.startswith("*+"):
        return text.lower()
    if not slash or not kind or not rest or " " in text or ";" in text:
        raise ValueError(f"{text!r} is no media type; write application/json, image/* or *+json")
    return text.lower()


_MediaTypes = Annotated[tuple[Annotated[str, AfterValidator(_media)], ...], ONE_OR_MANY]


class Section(Written):
    """Base of the sections."""


class Json(Section):
    """Limits of JSON bodies; 400 `body_too_complex`, `malformed_body` for what is no JSON."""

    depth: int = Field(default=32, ge=1, le=500)
    """Levels of nesting."""
    keys: int = Field(default=1000, ge=0)
    """Members of all objects together."""
    items: int = Field(default=10_000, ge=0)
    """Entries of all arrays together."""
    digits: int = Field(default=32, ge=1)
    """Characters of one number."""
    name: int = Field(default=256, ge=1)
    """Characters of one member's name."""
    duplicates: Literal["refuse", "pass"] = "refuse"
    """Names given twice in one object, of which readers take the first or the last; 422."""


class Form(Section):
    """Limits of forms (`application/x-www-form-urlencoded`)."""

    fields: int = Field(default=200, ge=0)
    """How many fields."""
    name: int = Field(default=256, ge=1)
    """Characters of one field's name."""
    value: Size = 64 * 1024
    """Length of one value."""
    repeats: Literal["refuse", "pass"] = "pass"
    """Names that come twice, as lists do; 422."""


class Multipart(Section):
    """Limits of forms in parts (`multipart/form-data`), checked as they pass."""

    parts: int = Field(default=100, ge=1)
    """How many parts."""
    files: int = Field(default=20, ge=0)
    """How many of them files."""
    file: Size = 10 * 1024 * 1024
    """Length of one file; 413 `body_too_large`."""
    value: Size = 64 * 1024
    """Length of one value that is no file; 413."""
    types: _MediaTypes = ()
    """Types of files, told by their first bytes, such as `image/png`, `image/*` or
    `application/pdf`; empty for any. SVG has to be named; it may hold scripts."""


class Schemas(Section):
    """JSON Schemas (2020-12) for parts of the request: written here, or paths of files."""

    body: dict[str, Any] | str | None = None
    """Of JSON bodies, and of forms as objects, in parts too; files are only there or not."""
    query: dict[str, Any] | str | None = None
    """Of the query as an object; texts become numbers and booleans where it asks for them."""
    path: dict[str, Any] | str | None = None
    """Of the captures of the route's path as an object."""
    headers: dict[str, Any] | str | None = None
    """Of the header fields as an object, with names in lower case."""


class OpenApiOptions(Section):
    """An OpenAPI document (3.0 or 3.1) that requests have to conform to."""

    file: str
    """Path of the document, YAML or JSON. It is read again when it changes."""
    base: str | None = None
    """What stands before its paths, in place of what its `servers` say."""
    unknown: Literal["refuse", "pass"] = "refuse"
    """Paths and methods that it doesn't have; 404 and 405."""
    unknown_query: Literal["refuse", "pass"] = "pass"
    """Query parameters that it doesn't have; 400."""
    responses: Literal["shadow", "off"] = "off"
    """`shadow` holds JSON responses against it too; what is wrong is counted and logged."""


class Options(PolicyOptions):
    """Refuse requests that aren't as the service expects them, with all that is wrong listed.

    Types and limits of bodies, and then what they hold: by JSON Schemas written here, or by
    an OpenAPI document (`validate: openapi.yaml` is all it takes). Wrong bodies give 422
    `invalid_input`, wrong parameters 400; each violation is listed under `errors`, with its
    place, its JSON pointer and what is wrong; of a large body only the first.

    JSON and plain forms are read whole, up to `buffer`. Forms in parts are checked as they
    pass; one that turns out wrong is broken off, and the service gets no end of it. Their values
    are held against schemas as those of other forms are, once all of them have come.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"content_types": "application/json", "size": "64KiB"},
                {
                    "schema": {
                        "body": {
                            "type": "object",
                            "required": ["email"],
                            "properties": {"email": {"type": "string", "format": "email"}},
                        }
                    }
                },
                {
                    "content_types": "multipart/form-data",
                    "multipart": {"files": 3, "file": "5MiB", "types": ["image/*"]},
                },
            ]
        }
    )

    content_types: _MediaTypes = ()
    """Types that bodies may have; 415 `unsupported_media_type`. Empty for any, or for those
    of the OpenAPI document."""
    body: Literal["optional", "required", "forbidden"] = "optional"
    """Whether there is to be a body."""
    size: Size | None = None
    """Length of a body; 413 `body_too_large`. Absent: the route's `limits.body`."""
    buffer: Size = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Length of a JSON body, of a form, or of the values of one in parts, which are held in
    memory; 413."""
    json_body: Json = Field(default=Json(), alias="json")
    """Limits of JSON bodies."""
    form: Form = Form()
    """Limits of forms."""
    multipart: Multipart = Multipart()
    """Limits of forms in parts."""
    schemas: Schemas = Field(default=Schemas(), alias="schema")
    """JSON Schemas."""
    openapi: OpenApiOptions | None = None
    """An OpenAPI document."""

    _document: OpenApi | None = PrivateAttr(default=None)
    _validators: dict[str, Validate] = PrivateAttr(default_factory=dict)
    _kinds: dict[str, Kind] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("openapi"), str):
            return {**value, "openapi": {"file": value["openapi"]}}
        return value

    @model_validator(mode="after")
    def _compile(self) -> Options:
        # Here and not by the policy: documents are large, and routes share them.
        if self.openapi is not None:
            self._document = OpenApi(self.openapi.file, self.openapi.base)
        places = {"body": "body", "query": "query", "path": "path", "headers": "header"}
        for name, place in places.items():
            schema = getattr(self.schemas, name)
            if schema is None:
                continue
            try:
                data = read_data(schema) if isinstance(schema, str) else schema
                self._validators[name] = compile_schema(data, place)
            except ValueError as error:
                raise ValueError(f"schema.{name}: {error}") from None
            self._kinds[name] = Kind.of(data, partial(_local, data))
        return self

    @property
    def document(self) -> OpenApi | None:
        """The OpenAPI document, compiled."""
        return self._document

    @property
    def validators(self) -> dict[str, Validate]:
        """Of the JSON Schemas, by the names in `schema`."""
        return self._validators

    @property
    def kinds(self) -> dict[str, Kind]:
        """How texts become the values that the schemas ask for, by the same names."""
        return self._kinds

    def files(self) -> tuple[str, ...]:
        """The document, what it refers to, and files of schemas."""
        named = [getattr(self.schemas, name) for name in Schemas.model_fields]
        read = self._document.files if self._document is not None else ()
        return (*read, *(name for name in named if isinstance(name, str)))


def _local(schema: Any, part: Any) -> Any:
    """What a `$ref` within one schema refers to; the part itself if it leads elsewhere."""
    for _ in range(16):
        reference = part.get("$ref") if isinstance(part, Mapping) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return part
        part = schema
        for step in reference[2:].split("/"):
            part = part.get(step.replace("~1", "/").replace("~0", "~")) if part else None
    return part
