"""Values as they would stand in YAML, and types in words."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import yaml

from proxy.config.units import Duration, Rate, Size
from proxy.runtime.notation import as_written, default_of, kind_of, settings_of
from tests.unit.runtime.specimen import Bucket, LimitOptions


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"), (True, "true"), (5, "5"), (1.5, "1.5"), ("text", "text"),
        ("", '""'), ("5", '"5"'), ("true", '"true"'), ("a: b", '"a: b"'), ("a #b", '"a #b"'),
        ("{path}", '"{path}"'), ("http://a:1", "http://a:1"), (" a", '" a"'), ("a:", '"a:"'),
        ("a\nb", '"a\\nb"'), ([], "[]"), (["a,b", "c"], '["a,b", c]'), ({"a": [1]}, "{a: [1]}"),
        ({"k": "x}"}, '{k: "x}"}'), ("x}", "x}"),
    ],
)  # fmt: skip
def test_values(value: Any, text: str) -> None:
    assert as_written(value) == text
    # What is shown can be pasted into a file.
    assert yaml.safe_load(f"k: {text}") == {"k": value}


def test_a_number_of_bytes() -> None:
    assert as_written(2048, size=True) == "2KiB"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (str, "text"), (int, "whole number"), (float, "number"), (bool, "true or false"),
        (Duration, "duration"), (Size, "size"), (Rate, "rate"), (Duration | None, "duration"),
        (int | None, "whole number"), (list[Duration], "list of duration"),
        (tuple[str, ...], "list of text"), (dict[str, Size], "mapping of names to size"),
        (Literal["a", 5, False], "`a`, `5` or `false`"), (Literal["a"] | Size, "`a` or size"),
        (Bucket, "mapping"), (dict[str, Bucket] | None, "mapping of names to mapping"),
        (Any, "anything"), (list, "list"), (dict, "mapping"),
    ],
)  # fmt: skip
def test_types(kind: Any, words: str) -> None:
    assert kind_of(kind) == words


def test_types_of_fields() -> None:
    fields = LimitOptions.model_fields
    kinds = {name: kind_of(info.annotation, info.metadata) for name, info in fields.items()}
    assert kinds["wait"] == "duration"
    assert kinds["burst"] == "whole number"


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("limit", "required"), ("key", "client_ip"), ("wait", "1500ms"), ("burst", "null"),
        ("bucket", "see below"), ("names", "[a, b]"), ("buckets", "{}"), ("body", '""'),
    ],
)  # fmt: skip
def test_defaults(name: str, default: str) -> None:
    assert default_of(LimitOptions.model_fields[name], LimitOptions, name) == default


def test_settings_are_those_with_a_value_in_the_order_of_the_reference() -> None:
    options = LimitOptions.model_validate({"limit": "5/min", "json": "{}"})
    assert dict(settings_of(options)) == {
        "mode": "enforce",
        "limit": "5/minute",
        "key": "client_ip",
        "wait": "1500ms",
        "bucket": "{room: 2KiB}",
        "names": "[a, b]",
        "kind": "soft",
        "json": '"{}"',
    }
