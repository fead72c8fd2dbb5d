"""What may stand in a Host field."""

from __future__ import annotations

import pytest

from proxy.http1 import host as module
from proxy.http1.host import read_authority


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("example.com", ("example.com", "")),
        ("EXAMPLE.com", ("example.com", "")),
        ("example.com:8080", ("example.com", "8080")),
        ("example.com:", ("example.com", "")),
        ("example.com:0", ("example.com", "0")),
        ("example.com:65535", ("example.com", "65535")),
        ("example.com.", ("example.com", "")),
        ("example.com.:80", ("example.com", "80")),
        ("localhost", ("localhost", "")),
        ("my_service", ("my_service", "")),
        ("127.0.0.1:80", ("127.0.0.1", "80")),
        ("[::1]", ("[::1]", "")),
        ("[::1]:8080", ("[::1]", "8080")),
        ("[0:0:0:0:0:0:0:1]", ("[::1]", "")),
        ("[2001:DB8::1]:443", ("[2001:db8::1]", "443")),
        ("a" * 255, ("a" * 255, "")),
    ],
)
def test_host_and_port(text: str, read: tuple[str, str]) -> None:
    assert read_authority(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "..",
        ":80",
        "a b",
        "a\tb",
        " a",
        "a ",
        "a,b",
        "a, b",
        "a/b",
        "a/",
        "a?b",
        "a#b",
        "a\\b",
        "u@a",
        "u:p@a",
        "http://a",
        "a:b",
        "a:80:80",
        "a:-1",
        "a:+80",
        "a:65536",
        "a:99999",
        "a:000080",
        "a: 80",
        # A digit to Python, and to nobody else.
        "a:\u0663",
        "[::1]:\u0663",
        "a%41",
        "a..b",
        ".a",
        "a" * 256,
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[::1]x",
        "[::1]80",
        "[::g]",
        "[1.2.3.4]",
        "[::1%eth0]",
        "[v1.a]",
        "b\u00fccher",
        "a\udcff",
        "a\x00",
        "a\n",
        "[::1]\n",
        'a"',
        "<a>",
        "{a}",
        "a|b",
        "a^b",
    ],
)
def test_a_malformed_host_is_nobody(text: str) -> None:
    assert read_authority(text) is None


def test_reading_twice_gives_the_same() -> None:
    for text in ("twice.example:80", "twice example"):
        assert read_authority(text) == read_authority(text)


def test_the_memory_of_hosts_is_bounded_in_number_and_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory: dict[str, tuple[str, str] | None] = {}
    monkeypatch.setattr(module, "_MEMORY", memory)
    for number in range(5000):
        assert read_authority(f"h{number}.example") == (f"h{number}.example", "")
    assert len(memory) < 5000
    memory.clear()
    assert read_authority("a" * 30_000) is None
    assert sum(map(len, memory)) < 1000
