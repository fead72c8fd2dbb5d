"""Parameters by name."""

from __future__ import annotations

import pytest

from proxy.content.parameter import check_pattern, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "parameter", "meant"),
    [
        ("query:page", "query:page", True),
        ("query:page", "query:pages", False),
        ("query:page", "form:page", False),
        ("query:a.b", "query:axb", False),
        ("query:*", "query:anything", True),
        ("query:*", "query:a/b", False),
        ("query:**", "query:a/b", True),
        ("query:p*", "query:page", True),
        ("json:/a/*/c", "json:/a/0/c", True),
        ("json:/a/*/c", "json:/a/0/b/c", False),
        ("json:/a/**", "json:/a/0/b/c", True),
        ("json:/a/**", "json:/a", False),
        ("json:**", "json:", True),
        ("*:page", "cookie:page", True),
        ("*", "header:x", True),
        ("*", "path:", True),
        ("path", "path:", True),
        ("text", "path:", False),
        ("form:a:b", "form:a:b", True),
        ("form:*", "form:a\nb", True),
    ],
)
def test_which_parameters_are_meant(pattern: str, parameter: str, meant: bool) -> None:
    check_pattern(pattern)
    assert (compile_pattern(pattern).fullmatch(parameter) is not None) is meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("body:a", "write path, query:NAME, header:NAME"),
        ("page", "begins with no place"),
        ("query", "name the parameter, or write query:**"),
        ("query:", "name the parameter, or write query:**"),
        ("path:x", "path has no names; write it alone"),
    ],
)
def test_what_means_none_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        check_pattern(text)
    assert words in str(raised.value)


def test_places_can_be_fewer() -> None:
    with pytest.raises(ValueError, match=r"write json:/POINTER or \*"):
        check_pattern("query:a", ("json",))
