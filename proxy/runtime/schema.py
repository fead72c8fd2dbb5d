"""JSON Schema of the configuration, for editors that complete and check YAML.

What the model takes in a short form is allowed here as well, and so is `${VAR}` wherever a
value isn't free text: an editor must not mark what the proxy accepts. The one exception is
a section with nothing below it, which is most often an oversight.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from proxy.catalog import Catalog
from proxy.config.model import Config
from proxy.config.shape import is_list, is_model, key_of, shorthand_of
from proxy.contract import PolicySpec
from proxy.runtime.reference import first_line

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_SCALAR: Final = ["string", "number", "boolean", "null"]
_VARIABLE: Final = {"type": "string", "pattern": r"\$\{", "title": "A variable"}
_TEXT: Final = {"type": "string"}


def make_schema(catalog: Catalog) -> dict[str, Any]:
    """The schema of a whole file, the options of the catalog's policies included."""
    schema = _schema_of(Config)
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    properties = {}
    for name in catalog.order:
        spec = catalog.specs[name]
        inner = _schema_of(spec.options)
        # Each policy may define a model called like another one's.
        for key, definition in inner.pop("$defs", {}).items():
            definitions[f"{name}.{key}"] = _renamed(definition, name)
        definitions[name] = {**_renamed(inner, name), "title": name}
        properties[name] = _entry(spec)
    policies = {"type": "object", "additionalProperties": False, "properties": properties}
    definitions["policies"] = policies
    _place_policies(schema, "For every route; a route overrides one by name, or says false.")
    _place_policies(definitions["Route"], "For this route, in place of the global ones.")
    _allow_short_forms(schema, definitions)
    widened: dict[str, Any] = _widened(schema)
    return {"$schema": DIALECT, **widened, "title": "Sidegate configuration"}


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    _write_defaults(schema, model)
    definitions = schema.get("$defs", {})
    for inner in _models_below(model):
        if inner.__name__ in definitions:
            _write_defaults(definitions[inner.__name__], inner)
    return schema


def _models_below(model: type[BaseModel]) -> set[type[BaseModel]]:
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [info.annotation for info in model.model_fields.values()]
    while waiting:
        annotation = waiting.pop()
        if is_model(annotation):
            if annotation not in found:
                found.add(annotation)
                waiting += [info.annotation for info in annotation.model_fields.values()]
        else:
            waiting += getattr(annotation, "__args__", ())
    return found


def _write_defaults(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Defaults as the user would write them: `10s`, where pydantic has 10.0."""
    for name, info in model.model_fields.items():
        row = schema.get("properties", {}).get(key_of(name, info))
        if row is None or "default" not in row:
            continue
        value = info.get_default(call_default_factory=True, validated_data={})
        # A section's default is the sum of its settings' and says nothing new.
        if value is None or isinstance(value, BaseModel) or value in ((), {}):
            del row["default"]
            continue
        row["default"] = model.model_construct(**{name: value}).model_dump(
            mode="json", include={name}, fallback=str, warnings=False
        )[name]


def _entry(spec: PolicySpec) -> dict[str, Any]:
    """What may stand after a policy's name."""
    forms: list[dict[str, Any]] = [{"$ref": f"#/$defs/{spec.name}"}, {"type": ["boolean", "null"]}]
    if spec.shorthand:
        listed = is_list(spec.options.model_fields[spec.shorthand].annotation)
        kinds = [*_SCALAR, "array"] if listed else _SCALAR
        forms.append({"type": kinds, "title": f"Sets {spec.shorthand}"})
    return {"description": first_line(spec), "anyOf": forms}


def _place_policies(schema: dict[str, Any], description: str) -> None:
    row = {"$ref": "#/$defs/policies", "description": description}
    schema["properties"]["policies"] = {**row, "title": "Policies"}


def _allow_short_forms(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Where the model's validators take one text for a list or a section."""
    for definition, key in (
        ("Server", "listen"), ("Server", "trusted_proxies"), ("Upstream", "endpoints"),
        ("Match", "methods"),
    ):  # fmt: skip
        _or_text(definitions[definition]["properties"], key)
    for model in _models_below(Config):
        if shorthand_of(model):
            _or_text(definitions, model.__name__)


def _or_text(rows: dict[str, Any], key: str) -> None:
    row = rows[key]
    kept = {name: row.pop(name) for name in ("title", "description", "default") if name in row}
    rows[key] = {**kept, "anyOf": [row, _TEXT]}


def _renamed(schema: Any, policy: str) -> Any:
    """The schema with references to the policy's own models under their new names."""
    if isinstance(schema, dict):
        return {
            key: f"#/$defs/{policy}.{value.removeprefix('#/$defs/')}"
            if key == "$ref" and isinstance(value, str)
            else _renamed(value, policy)
            for key, value in schema.items()
        }
    if isinstance(schema, list):
        return [_renamed(value, policy) for value in schema]
    return schema


def _widened(schema: Any) -> Any:
    """The schema with a variable allowed where a number, a boolean or a choice is."""
    if isinstance(schema, list):
        return [_widened(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    literal = {
        key: schema[key] for key in ("default", "examples", "const", "enum") if key in schema
    }
    walked = {key: value if key in literal else _widened(value) for key, value in schema.items()}
    closed = (
        schema.get("type") in ("integer", "number", "boolean")
        or "enum" in schema
        or isinstance(schema.get("pattern"), str)
    )
    if not closed:
        return walked
    words = ("title", "description", "default", "examples")
    kept = {key: walked.pop(key) for key in words if key in walked}
    return {**kept, "anyOf": [walked, _VARIABLE]}
