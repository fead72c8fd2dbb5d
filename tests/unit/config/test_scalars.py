"""YAML 1.2's types of plain scalars, and variables in text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.scalars import Scalar, expand, is_variable, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None),
        ("true", True), ("False", False),
        ("on", "on"), ("off", "off"), ("yes", "yes"), ("no", "no"), ("y", "y"),
        ("7", 7), ("-7", -7), ("0x1F", 31), ("0o17", 15), ("017", 17), ("1_000", "1_000"),
        ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0), (".", "."), ("-", "-"),
        ("12:30", "12:30"), ("5s", "5s"), ("1.2.3", "1.2.3"), ("٣", "٣"),
    ],
)  # fmt: skip
def test_plain_scalars(text: str, value: Scalar) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_a_number_too_long_to_convert_cheaply_is_text() -> None:
    assert resolve("9" * 5000) == "9" * 5000


@given(st.text(alphabet="0123456789.eExo+-_ naif", max_size=40))
def test_every_text_resolves_to_a_finite_number_or_to_something_else(text: str) -> None:
    value = resolve(text)
    assert not isinstance(value, float) or math.isfinite(value) or "e" in text.lower()


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${HOST}", "example.com"),
        ("http://${HOST}:${PORT}", "http://example.com:80"),
        ("${NONE:-x}", "x"),
        ("${NONE:-}", ""),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY}", ""),
        ("$$", "$"),
        ("$${HOST}", "${HOST}"),
        ("~^/a$", "~^/a$"),
        ("$1", "$1"),
        ("{request_id}", "{request_id}"),
        ("${TRICK}", "${HOST}"),
    ],
)
def test_variables(text: str, expanded: str) -> None:
    environ = {"HOST": "example.com", "PORT": "80", "EMPTY": "", "TRICK": "${HOST}"}
    assert expand(text, environ) == expanded


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("${NONE}", "${NONE:-default}"),
        ("${HOST", "write ${NAME}"),
        ("${1}", "write ${NAME}"),
        ("${}", "$$ for a dollar"),
    ],
)
def test_variables_that_say_nothing_are_refused_with_the_fix(text: str, fix: str) -> None:
    with pytest.raises(ValueError, match="variable") as caught:
        expand(text, {})
    assert fix in str(caught.value)


@pytest.mark.parametrize(
    ("text", "whole"), [("${A}", True), ("${A:-1}", True), ("${A}b", False), ("$$", False)]
)
def test_what_is_one_variable_and_nothing_else(text: str, whole: bool) -> None:
    assert is_variable(text) is whole
