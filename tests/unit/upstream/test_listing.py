"""Endpoints listed in a file of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.upstream.discovery import Found
from proxy.upstream.listing import FileSource, read_listing

A, B = Found("http://a:80"), Found("http://b:80", weight=3, priority=1)


@pytest.mark.parametrize(
    ("text", "endpoints"),
    [
        ("- http://a:80", (A,)),
        ("endpoints: [http://a:80]", (A,)),
        ('["http://a:80", {"url": "http://b:80", "weight": 3, "priority": 1}]', (A, B)),
        ("- {url: 'http://b:80', weight: 3, priority: 1}\n- http://a:80", (A, B)),
        ("[http://a:80, http://a:80]", (A,)),
        ("[]", ()),
    ],
)
def test_what_it_may_say(text: str, endpoints: tuple[Found, ...]) -> None:
    assert read_listing(text) == endpoints


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a list of endpoints"),
        ("http://a", "must be a list of endpoints"),
        ("hosts: [http://a]", "the key `endpoints` and no other"),
        ("- [", "expected the node content"),
        ("- a:80", "[0]: 'a:80' is not an address; write http://a:80"),
        ("- {url: http://a, wait: 3}", 'unknown key "wait"'),
        ("- {url: http://a, weight: 0}", "must be at least 1, not 0"),
        ("- !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ],
)
def test_what_it_may_not(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        read_listing(text)
    assert words in str(raised.value)


async def test_a_file_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.yaml"
    source = FileSource(str(file))
    with pytest.raises(LookupError, match="No such file"):
        await source.look()
    file.write_text("- http://a:80", "utf-8")
    first = await source.look()
    assert first.endpoints == (A,)
    assert await source.look() is first
    file.write_bytes(b"- http://\xff")
    with pytest.raises(LookupError, match="can't decode"):
        await source.look()
