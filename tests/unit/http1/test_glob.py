"""Patterns with stars."""

from __future__ import annotations

import pytest

from proxy.http1.glob import compile_glob


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("/a", "/a", True),
        ("/a", "/ab", False),
        ("/*", "/ab", True),
        ("/*", "/a/b", False),
        ("/*", "/", True),
        ("/**", "/a/b", True),
        ("/**/c", "/a/b/c", True),
        ("/*.css", "/x.css", True),
        ("/*.css", "/xcss", False),
        ("/a?b=*", "/a?b=1", True),
        ("/a?b=*", "/axb=1", False),
        ("/***", "/a/b", True),
        ("", "", True),
    ],
)
def test_patterns(pattern: str, text: str, fits: bool) -> None:
    assert bool(compile_glob(pattern)(text)) is fits
