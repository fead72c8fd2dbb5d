"""JSON Schema (2020-12): compiled, and its errors in words that repeat nothing of what came.

May live here: schemas and violations of them. Must not live here: where schemas come from,
or which part of a request is held against one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from proxy.content.json import escape
from proxy.errors import Violation

VIOLATIONS_MAX: Final = 20
_LISTED_MAX: Final = 400
_POINTER_MAX: Final = 200
_DETAIL_MAX: Final = 300
_MASK: Final = "\x00"
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_TYPES: Final = ("string", "integer", "number", "boolean", "array", "object", "null")

Validate = Callable[[Any], list[Violation]]
"""All that is wrong with a value, up to a bound."""


def shown(pointer: str) -> str:
    """A pointer to show to the client who chose the names in it."""
    text = _CONTROLS.sub("\ufffd", pointer)
    return text if len(text) <= _POINTER_MAX else text[:_POINTER_MAX] + "…"


def compile_schema(schema: Any, place: str, resources: Iterable[tuple[str, Any]] = ()) -> Validate:
    """A validator of values in this place. Raises ValueError when the schema is none.

    Of values with more than 400 parts it tells the first violation alone.

    resources: documents that `$ref` may lead to, by URI; nothing else is fetched.
    """
    import jsonschema_rs

    try:
        registry = jsonschema_rs.Registry(list(resources)) if resources else None
        validator = jsonschema_rs.Draft202012Validator(
            schema,
            registry=registry,
            mask=_MASK,
            offline=True,
            validate_formats=True,
            # Linear in the text, whatever the pattern is.
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        reason = str(getattr(error, "message", error)).partition("\n")[0].replace(_MASK, "a value")
        raise ValueError(f"the schema can't be used: {reason}") from None
    kinds = jsonschema_rs.ValidationErrorKind
    listing = (kinds.AdditionalProperties, kinds.UnevaluatedProperties)

    def errors(value: Any) -> Iterable[jsonschema_rs.ValidationError]:
        if not _is_large(value):
            return validator.iter_errors(value)
        # All errors are made before the first can be seen, each with those of its branches.
        try:
            validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return (error,)
        return ()

    def validate(value: Any) -> list[Violation]:
        if validator.is_valid(value):
            return []
        found: list[Violation] = []
        for error in errors(value):
            pointer = "".join(f"/{escape(str(step))}" for step in error.instance_path)
            if isinstance(error.kind, listing):
                found += [
                    Violation(place, shown(f"{pointer}/{escape(name)}"), "is not allowed here")
                    for name in error.kind.unexpected[:VIOLATIONS_MAX]
                ]
            elif isinstance(error.kind, kinds.FalseSchema):
                found.append(Violation(place, shown(pointer), "is not allowed here"))
            elif isinstance(error.kind, kinds.Format):
                detail = f"is not of the format {error.kind.format}"
                found.append(Violation(place, shown(pointer), detail))
            elif isinstance(error.kind, kinds.PropertyNames):
                found.append(Violation(place, shown(pointer), "has a name that is not allowed"))
            else:
                found.append(Violation(place, shown(pointer), _words(error.message)))
            if len(found) >= VIOLATIONS_MAX:
                break
        return found

    return validate


def _is_large(value: Any) -> bool:
    waiting, seen = [value], 0
    while waiting:
        current = waiting.pop()
        seen += 1
        members: Collection[Any] = ()
        if isinstance(current, (dict, list)):
            members = current.values() if isinstance(current, dict) else current
        if seen + len(waiting) + len(members) > _LISTED_MAX:
            return True
        waiting += members
    return False


def _words(message: str) -> str:
    """The schema's complaint, with the value left out: it stands at the pointer."""
    if message.startswith(f"{_MASK} "):
        message = message[2:]
    text = message.replace(_MASK, "the value")
    return text if len(text) <= _DETAIL_MAX else text[:_DETAIL_MAX] + "…"


# -- texts as values ---------------------------------------------------------------------------


def types_of(schema: Any, resolve: Callable[[Any], Any]) -> frozenset[str]:
    """The JSON types that a schema speaks of; empty if it leaves that open.

    resolve: follows the `$ref` of a schema.
    """
    found: set[str] = set()
    waiting, seen = [schema], 0
    while waiting and seen < 64:
        current = resolve(waiting.pop())
        seen += 1
        if not isinstance(current, Mapping):
            continue
        named = current.get("type")
        found.update([named] if isinstance(named, str) else named or ())
        for keyword in ("allOf", "anyOf", "oneOf"):
            waiting += current.get(keyword, ())
        if "type" not in current:
            found.update(_type_of(value) for value in current.get("enum", ()))
            if "const" in current:
                found.add(_type_of(current["const"]))
    return frozenset(found)


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    for kind, name in ((str, "string"), (int, "integer"), (float, "number"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"


_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,29})").fullmatch
_NUMBER: Final = re.compile(
    r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?"
).fullmatch


def coerce(text: str, types: frozenset[str]) -> Any:
    """A text as the first of these types that it can be; itself if it can be none."""
    if "integer" in types and _INTEGER(text):
        return int(text)
    if "number" in types and _NUMBER(text):
        return float(text) if "." in text or "e" in text.lower() else int(text)
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    if "null" in types and "string" not in types and text in ("", "null"):
        return None
    return text
