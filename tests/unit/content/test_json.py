"""JSON within limits, and where everything stands in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.content.json import UNLIMITED, JsonError, JsonLimits, escape, read_json, texts, walk

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@given(VALUES)
def test_what_is_within_the_limits_is_read(value: Any) -> None:
    data = json.dumps(value).encode()
    limits = JsonLimits(depth=depth_of(value), keys=10_000, items=10_000, digits=20, name=40)
    assert read_json(data, limits) == value


@given(VALUES.filter(depth_of))
def test_one_level_more_is_too_deep(value: Any) -> None:
    limit = depth_of(value) - 1
    with pytest.raises(JsonError, match=f"nested more than {limit} levels"):
        read_json(json.dumps(value).encode(), JsonLimits(depth=limit))


@pytest.mark.parametrize(
    ("data", "limits", "words", "pointer"),
    [
        (b'{"a":{"b":[1]}}', {"depth": 2}, "nested more than 2 levels", ""),
        (b'{"a":1,"b":{"c":2}}', {"keys": 2}, "more than 2 names", ""),
        (b"[1,[2,3]]", {"items": 3}, "more than 3 entries", ""),
        (b"[12345]", {"digits": 4}, "more than 4 characters", ""),
        (b'{"abcde":1}', {"name": 4}, "a name has more than 4 characters", ""),
        (b'{"a":1,"a":2}', {}, "given twice", "/a"),
        (b'{"x":[0,{"a/b":1,"a/b":2}]}', {}, "given twice", "/x/1/a~1b"),
        (b'{"a":1,"\\u0061":2}', {}, "given twice", "/a"),
        (b'{"a":{"x":1,"x":2},"a":3}', {}, "given twice", "/a"),
        (b'{"a":"b:c:d","b":1}', {}, "", ""),
        (b'{"a":"\\"x\\":1"}', {}, "", ""),
    ],
)
def test_limits(data: bytes, limits: dict[str, Any], words: str, pointer: str) -> None:
    if not words:
        read_json(data, JsonLimits(**limits))
        return
    with pytest.raises(JsonError) as raised:
        read_json(data, JsonLimits(**limits))
    assert words in str(raised.value)
    assert raised.value.pointer == pointer
    assert not raised.value.malformed


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[1,]", b'{"a":1,}', b"{a:1}", b"nul", b"[1] x", b"'a'", b"NaN", b"\xff",
     b'"\xff"', b"\xef\xbb\xbf{}", b'"\\ud800"', b"[01]", b"// x\n1", '{"a":1}'.encode("utf-16")],
)  # fmt: skip
def test_what_is_no_json(data: bytes) -> None:
    for limits in (UNLIMITED, JsonLimits()):
        with pytest.raises(JsonError) as raised:
            read_json(data, limits)
        assert raised.value.malformed
        assert "<" not in str(raised.value)


def test_a_message_repeats_nothing_of_the_text() -> None:
    for data in (b"<script>", b'{"<script>": <script>}', b'{"<script>":1,"<script>":2}'):
        with pytest.raises(JsonError) as raised:
            read_json(data, JsonLimits())
        assert "script" not in str(raised.value)


def test_without_limits_the_last_of_equal_names_is_read() -> None:
    assert read_json(b'{"a":1,"a":2}', UNLIMITED) == {"a": 2}


@pytest.mark.parametrize("unit", ["[", "]", '"', '\\"', '"\\"', '{"a":', "[],", '"a":1,', ":", "1"])
def test_no_text_is_costly(
    unit: str, linear: Callable[[Callable[[str], object], str], None]
) -> None:
    def read(text: str) -> None:
        for whole in (text, f'["{text}', f"[{text}]", f"{{{text}}}"):
            try:
                read_json(whole.encode(), JsonLimits(keys=10**9, items=10**9, digits=10**9))
            except JsonError:
                continue

    linear(read, unit)


def test_everything_has_a_pointer() -> None:
    value = {"a": [1, {"b/c": "x"}], "d~": None}
    assert [pointer for pointer, _ in walk(value)] == [
        "",
        "/a",
        "/a/0",
        "/a/1",
        "/a/1/b~1c",
        "/d~0",
    ]
    assert escape("~/") == "~0~1"


def test_texts_are_names_and_strings() -> None:
    assert sorted(texts({"a": ["x", 1, {"b": "y"}], "c": None})) == ["a", "b", "c", "x", "y"]
    assert texts("z") == ["z"]
    assert texts(5) == []
