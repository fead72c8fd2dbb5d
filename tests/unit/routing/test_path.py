"""Path patterns: what they take, what they capture, and how a wrong one is told."""

from __future__ import annotations

import re

import pytest

from proxy.routing.path import PathKind, read_path


@pytest.mark.parametrize(
    ("pattern", "path", "captures"),
    [
        # Exact: this path and no other.
        ("/a", "/a", {}),
        ("/a", "/a/", None),
        ("/a", "/A", None),
        ("/a/", "/a/", {}),
        ("/a/", "/a", None),
        ("/", "/", {}),
        ("/größe", "/größe", {}),
        ("/a%2Fb", "/a%2Fb", {}),
        # Template: a capture is one whole segment and never empty.
        ("/users/{id}", "/users/7", {"id": "7"}),
        ("/users/{id}", "/users/", None),
        ("/users/{id}", "/users", None),
        ("/users/{id}", "/users/7/", None),
        ("/users/{id}", "/users/7/posts", None),
        ("/users/{id}/", "/users/7/", {"id": "7"}),
        ("/users/{id}/", "/users/7", None),
        ("/{a}/{b}", "/1/2", {"a": "1", "b": "2"}),
        ("/{a}/{b}", "//2", None),
        ("/{a}", "/", None),
        ("/{a}", "/a b", {"a": "a b"}),
        # Prefix: the path itself, with or without a slash, and everything under it.
        ("/a/**", "/a", {"rest": ""}),
        ("/a/**", "/a/", {"rest": ""}),
        ("/a/**", "/a/b/c", {"rest": "b/c"}),
        ("/a/**", "/a//b", {"rest": "/b"}),
        ("/a/**", "/ab", None),
        ("/a/**", "/", None),
        ("/users/{id}/**", "/users/7", {"id": "7", "rest": ""}),
        ("/users/{id}/**", "/users/7/", {"id": "7", "rest": ""}),
        ("/users/{id}/**", "/users/7/a/b/", {"id": "7", "rest": "a/b/"}),
        ("/users/{id}/**", "/users/", None),
        ("/users/{id}/**", "/users//a", None),
        ("/x/{rest}/**", "/x/1/2", {"rest": "1"}),
        # Regular expression: over the whole path; groups by name, if they took part.
        (r"~/v\d+", "/v12", {}),
        (r"~/v\d+", "/v12/x", None),
        (r"~/v(?P<major>\d+)(\.(?P<minor>\d+))?", "/v1.2", {"major": "1", "minor": "2"}),
        (r"~/v(?P<major>\d+)(\.(?P<minor>\d+))?", "/v1", {"major": "1"}),
        ("~", "/", None),
        # Catch-all.
        ("/**", "/", {"rest": ""}),
        ("/**", "/a/b", {"rest": "a/b"}),
        ("/**", "*", {"rest": ""}),
        # OPTIONS * is under no path.
        ("/{a}", "*", None),
        ("/a/**", "*", None),
    ],
)
def test_a_pattern_takes_its_paths_and_captures_their_parts(
    pattern: str, path: str, captures: dict[str, str] | None
) -> None:
    read = read_path(pattern)
    assert read.matches(path) is (captures is not None)
    if captures is not None:
        capture = read.capturer()
        assert (capture(path) if capture else {}) == captures


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("users", "begin with a slash (/users)"),
        ("", "begin with a slash (/)"),
        ("**", "begin with a slash"),
        ("/a/**/b", "/** at the end"),
        ("/a/**/**", "/** at the end"),
        ("/a/*", "{name} for one whole segment"),
        ("/a*", "{name} for one whole segment"),
        ("/a**", "/** at the end"),
        ("/users/{id", "'{id' has a brace without its partner"),
        ("/users/id}", "'id}' has a brace without its partner"),
        ("/users/{id}.json", "a capture is one whole segment, as in /users/{id}"),
        ("/users/{a}{b}", "a capture is one whole segment"),
        ("/users/}{", "a capture is one whole segment"),
        ("/users/{}", "'' can't be the name of a capture"),
        ("/users/{user-id}", "'user-id' can't be the name of a capture"),
        ("/users/{1}", "'1' can't be the name of a capture"),
        ("/users/{" + "a" * 65 + "}", "up to 64 letters"),
        ("/{id}/{id}", "two captures are called 'id'; rename one"),
        ("/a//b", "write one slash"),
        ("/a//**", "write one slash"),
        ("/a/../b", "'..' segments never reach a route"),
        ("/./**", "'.' segments never reach a route"),
        ("/a?b=1", "parameters go into match.query"),
        ("/a#b", "parameters go into match.query"),
        ("/a%20b", "write the character itself in place of %20"),
        ("/a%2fb", "write an encoded slash in upper case, %2F"),
        ("/a\nb", "take out the control characters"),
        ("~/a(", "at character 3"),
        ("~(?P<a>x)(?P<a>y)", "not a regular expression: redefinition of group name 'a'"),
        ("~a{99999999999999}", "too large for a regular expression"),
        ("~" + "(" * 5000 + ")" * 5000, "too large for a regular expression"),
        ("~/[[a]", "put a backslash before it"),
    ],
)
def test_a_wrong_pattern_is_told_with_its_fix(text: str, fix: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fix)):
        read_path(text)


@pytest.mark.parametrize(
    ("text", "kind", "literal"),
    [
        ("/a/b", PathKind.EXACT, 4),
        ("/", PathKind.EXACT, 1),
        ("/users/{id}", PathKind.TEMPLATE, 7),
        ("/users/{id}/", PathKind.TEMPLATE, 8),
        ("/a/**", PathKind.PREFIX, 2),
        ("/users/{id}/**", PathKind.PREFIX, 7),
        ("~/a", PathKind.REGEX, 0),
        ("/**", PathKind.ANY, 0),
    ],
)
def test_kind_and_fixed_characters_decide_precedence(
    text: str, kind: PathKind, literal: int
) -> None:
    pattern = read_path(text)
    assert (pattern.kind, pattern.literal) == (kind, literal)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/users/{id}", "/users/{name}", True),
        ("/users/{id}/**", "/users/{name}/**", True),
        ("/users/{id}", "/users/{id}/**", False),
        ("/a", "/a/**", False),
        ("/a", "/b", False),
        ("~/a", "~/a", True),
        ("~/a", "~/b", False),
        ("/**", "/**", True),
    ],
)
def test_patterns_that_take_the_same_paths_have_the_same_shape(
    one: str, other: str, same: bool
) -> None:
    assert (read_path(one).shape == read_path(other).shape) is same


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("/b", "path /a is not /b"),
        ("/b/**", "path /a is not under /b"),
        ("/b/{c}", "path /a does not match /b/{c}"),
        ("~/b", "path /a does not match ~/b"),
    ],
)
def test_a_mismatch_is_told_in_words(pattern: str, words: str) -> None:
    assert read_path(pattern).mismatch("/a") == words
