"""Schemas, and complaints that repeat nothing of what came."""

from __future__ import annotations

import time
from typing import Any

import pytest

from proxy.policies.validate.schemas import coerce, compile_schema, shown, types_of

EVIL = "<script>\u202e\n"


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "integer"}, "x", [("", 'is not of type "integer"')]),
        ({"minimum": 5}, 3, [("", "is less than the minimum of 5")]),
        ({"properties": {"a": {"maxLength": 2}}}, {"a": EVIL}, [("/a", "is longer than 2")]),
        ({"properties": {"a": {"pattern": "^x+$"}}}, {"a": EVIL}, [("/a", "does not match")]),
        ({"properties": {"a": {"enum": [1, 2]}}}, {"a": EVIL}, [("/a", "is not one of 1 or 2")]),
        ({"properties": {"a": {"format": "email"}}}, {"a": EVIL}, [("/a", "email")]),
        ({"required": ["a", "b"]}, {}, [("", '"a" is a required'), ("", '"b" is a required')]),
        ({"items": {"type": "string"}}, ["x", 1, 2], [("/1", "string"), ("/2", "string")]),
        (
            {"properties": {"a": {}}, "additionalProperties": False},
            {EVIL: 1},
            [("/<script>\ufffd\ufffd", "not allowed")],
        ),
        (
            {"properties": {"a": {}}, "unevaluatedProperties": False},
            {"a": 1, "b": 2, "c/d": 3},
            [("/b", "not allowed"), ("/c~1d", "not allowed")],
        ),
        ({"propertyNames": {"pattern": "^a"}}, {EVIL: 1}, [("", "has a name that is not allowed")]),
        ({"not": {"const": EVIL}}, EVIL, [("", "")]),
        ({"const": 5}, EVIL, [("", "5 was expected")]),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, 5, [("", "oneOf")]),
        ({"uniqueItems": True}, [EVIL, EVIL], [("", "non-unique")]),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, [("", "required")]),
        (False, 1, [("", "is not allowed here")]),
        (True, EVIL, []),
    ],
)
def test_complaints(schema: Any, value: Any, expected: list[tuple[str, str]]) -> None:
    found = compile_schema(schema, "body")(value)
    assert [row.pointer for row in found] == [pointer for pointer, _ in expected]
    for row, (_, words) in zip(found, expected, strict=True):
        assert row.place == "body"
        assert words in row.detail
        # A schema may hold anything; what came may not come back.
        assert schema == {"not": {"const": EVIL}} or "script" not in row.detail
        assert "\x00" not in row.detail


def test_complaints_are_bounded() -> None:
    found = compile_schema({"items": {"type": "string"}}, "body")(list(range(300)))
    assert len(found) == 20
    [row] = compile_schema({"additionalProperties": {"type": "string"}}, "body")({"x" * 5000: 1})
    assert len(row.pointer) < 250
    assert len(shown("/" + "x" * 5000)) < 250


@pytest.mark.parametrize("count", [20, 401])
def test_what_is_wrong_with_much_is_not_listed(count: int) -> None:
    validate = compile_schema({"items": {"type": "string"}}, "body")
    assert len(validate([1] * count)) == (20 if count < 400 else 1)
    assert validate([1] * count)[0].pointer == "/0"


def test_large_values_of_many_branches_are_cheap() -> None:
    """It would be thousands of times what a list of violations costs for a few."""
    branches = [{"properties": {"a": {"const": place}}, "required": ["a"]} for place in range(20)]
    validate = compile_schema({"items": {"oneOf": branches}}, "body")

    def seconds(value: list[Any]) -> float:
        """The least of some tries: the garbage of other tests may be collected amid one."""
        times = []
        for _ in range(3):
            began = time.process_time()
            assert validate(value)
            times.append(time.process_time() - began)
        return min(times)

    assert seconds([{"a": -1}] * 10_000) < 100 * max(seconds([{"a": -1}] * 20), 0.001)


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#"}, {"allOf": [{"$ref": "#"}]},
     {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}],
)  # fmt: skip
def test_references_in_a_circle_end(schema: Any) -> None:
    assert compile_schema(schema, "body")({"a": [1]}) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nope"},
        {"minimum": "x"},
        {"pattern": "("},
        {"pattern": "(?<=x)y"},
        {"$ref": "https://x.test/schema.json"},
        {"$ref": "#/$defs/nope"},
        {"properties": []},
    ],
)
def test_a_schema_that_is_none_is_refused(schema: Any) -> None:
    with pytest.raises(ValueError, match="the schema can't be used"):
        compile_schema(schema, "body")


def same(schema: Any) -> Any:
    return schema


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ({"type": "integer"}, {"integer"}),
        ({"type": ["integer", "null"]}, {"integer", "null"}),
        ({"allOf": [{"type": "string"}]}, {"string"}),
        ({"anyOf": [{"type": "string"}, {"oneOf": [{"type": "boolean"}]}]}, {"string", "boolean"}),
        ({"enum": [1, "a", None, True, 1.5, [], {}]},
         {"integer", "string", "null", "boolean", "number", "array", "object"}),
        ({"const": 5}, {"integer"}),
        ({}, set()),
        (True, set()),
        (None, set()),
    ],
)  # fmt: skip
def test_types_that_a_schema_speaks_of(schema: Any, types: set[str]) -> None:
    assert types_of(schema, same) == types


@pytest.mark.parametrize(
    ("text", "types", "value"),
    [
        ("5", {"integer"}, 5),
        ("-5", {"number"}, -5),
        ("1.5", {"number"}, 1.5),
        ("1e3", {"number"}, 1000.0),
        ("1.5", {"integer"}, "1.5"),
        ("05", {"integer"}, "05"),
        ("5", {"string"}, "5"),
        ("5", set(), "5"),
        ("5", {"integer", "string"}, 5),
        ("true", {"boolean"}, True),
        ("True", {"boolean"}, "True"),
        ("1", {"boolean"}, "1"),
        ("", {"null", "integer"}, None),
        ("", {"null", "string"}, ""),
        ("9" * 40, {"integer"}, "9" * 40),
        ("NaN", {"number"}, "NaN"),
        ("٣", {"integer"}, "٣"),
    ],
)
def test_texts_as_values(text: str, types: set[str], value: Any) -> None:
    made = coerce(text, frozenset(types))
    assert made == value
    assert type(made) is type(value)
