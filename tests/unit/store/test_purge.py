"""What to purge, and what is said about texts that mean nothing."""

from __future__ import annotations

import pytest

from proxy.store.purge import Kind, Purge


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("url", "", "to purge everything say `all`"),
        ("tag", "", "`tag` is empty"),
        ("all", "x", "takes no text"),
        ("url", "example.com/x", "must begin with http://"),
        ("prefix", "ftp://x", "must begin with http://"),
        ("glob", "*", "must begin with http://"),
        ("url", "/" + "x" * 9000, "at most 8192"),
    ],
)
def test_what_means_nothing_is_refused(kind: Kind, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("`", ".")):
        Purge(kind, text)


def test_which_urls_can_be_told_beforehand() -> None:
    assert Purge("url", "http://a/x").urls == ("http://a/x",)
    assert Purge("url", "//a/x").urls == ("http://a/x", "https://a/x")
    assert Purge("url", "/x").urls == ()
    assert Purge("prefix", "http://a/x").urls == ()
