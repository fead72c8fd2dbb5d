"""How a purge is written in JSON, and what several workers hold together."""

from __future__ import annotations

import pytest

from proxy.admin.cache import combine, read_purge
from proxy.store.purge import Purge


@pytest.mark.parametrize(
    ("body", "purge"),
    [
        (b'{"url": "https://a/x"}', Purge("url", "https://a/x")),
        (b'{"prefix": "/x", "soft": true}', Purge("prefix", "/x", soft=True)),
        (b'{"glob": "//a/*"}', Purge("glob", "//a/*")),
        (b'{"tag": "news", "soft": false}', Purge("tag", "news")),
        (b'{"all": true}', Purge("all")),
    ],
)
def test_purges(body: bytes, purge: Purge) -> None:
    assert read_purge(body) == purge


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "must be JSON"),
        (b"[]", "must be an object"),
        (b"{}", "give one of url, prefix, glob, tag, all"),
        (b'{"url": "/x", "tag": "y"}', "give one of"),
        (b'{"url": 1}', "must be text"),
        (b'{"url": "x"}', "must begin with http://"),
        (b'{"all": false}', "write {.all.: true}"),
        (b'{"all": true, "soft": "yes"}', "true or false"),
        (b'{"path": "/x"}', "unknown; known are"),
    ],
)
def test_what_is_none(body: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_purge(body)


def test_several_memories() -> None:
    one = {
        "objects": 1, "bytes": 10, "limit_bytes": 100, "fetching_bytes": 5,
        "removed": {"capacity": 1},
    }  # fmt: skip
    other = {**one, "removed": {"capacity": 2, "purged": 1}}
    both = combine([one, other])
    assert both["objects"] == 2
    assert both["limit_bytes"] == 200
    assert both["removed"] == {"capacity": 3, "purged": 1}
    assert both["workers"] == [one, other]
