"""Byte ranges: RFC 9110, 14."""

from __future__ import annotations

import pytest

from proxy.http1.byte_range import (
    MAX_RANGES,
    Part,
    Span,
    part_heads,
    read_content_range,
    read_range,
    satisfiable,
    show_content_range,
    show_unsatisfied,
)


@pytest.mark.parametrize(
    ("value", "length", "spans"),
    [
        (b"bytes=0-1", 10, [(0, 1)]),
        (b"Bytes = 0-1".replace(b" ", b""), 10, [(0, 1)]),
        (b"bytes=1-", 10, [(1, 9)]),
        (b"bytes=-1", 10, [(9, 9)]),
        (b"bytes=-100", 10, [(0, 9)]),
        (b"bytes=5-100", 10, [(5, 9)]),
        (b"bytes=10-", 10, []),
        (b"bytes=-0", 10, []),
        (b"bytes=0-", 0, []),
        (b"bytes=-1", 0, []),
        (b"bytes=0-1, 4-5", 10, [(0, 1), (4, 5)]),
        (b"bytes=4-5,0-1", 10, [(4, 5), (0, 1)]),
        (b"bytes=0-1,20-30", 10, [(0, 1)]),
        (b"bytes=0-3,2-5", 10, [(0, 5)]),
        (b"bytes=0-1,2-3", 10, [(0, 3)]),
        (b"bytes=0-1,8-9,1-8", 10, [(0, 9)]),
        (b"bytes=0-0,-1,, ", 10, [(0, 0), (9, 9)]),
        (b"bytes=" + b",".join([b"0-"] * MAX_RANGES), 10, [(0, 9)]),
    ],
)
def test_which_bytes_are_meant(value: bytes, length: int, spans: list[tuple[int, int]]) -> None:
    asked = read_range(value)
    assert asked is not None
    assert satisfiable(asked, length) == spans


@pytest.mark.parametrize(
    "value",
    [
        b"", b"bytes", b"bytes=", b"bytes=,", b"bytes=a-b", b"bytes=1", b"bytes=-", b"bytes=2-1",
        b"lines=0-1", b"bytes=0-1,x", b"bytes=0 - 1", b"bytes=" + b"9" * 30 + b"-",
        b"bytes=" + b",".join([b"0-0"] * (MAX_RANGES + 1)),
    ],
)  # fmt: skip
def test_ranges_that_are_ignored(value: bytes) -> None:
    assert read_range(value) is None


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (b"bytes 0-4/10", Part(Span(0, 4), 10)),
        (b"bytes 5-9/10", Part(Span(5, 9), 10)),
        (b"bytes 5-9/*", Part(Span(5, 9), None)),
        (b"bytes */10", None),
        (b"bytes 9-5/10", None),
        (b"bytes 5-10/10", None),
        (b"items 0-4/10", None),
        (b"bytes=0-4/10", None),
    ],
)
def test_what_a_content_range_says(value: bytes, part: Part | None) -> None:
    assert read_content_range(value) == part


def test_writing() -> None:
    assert show_content_range(Span(2, 4), 10) == b"bytes 2-4/10"
    assert show_unsatisfied(10) == b"bytes */10"
    assert Span(2, 4).size == 3


def test_parts_of_one_body() -> None:
    heads, end = part_heads([Span(0, 1), Span(4, 4)], 10, b"text/plain", b"xx")
    assert heads[1] == (
        b"\r\n--xx\r\nContent-Type: text/plain\r\nContent-Range: bytes 4-4/10\r\n\r\n"
    )
    assert end == b"\r\n--xx--\r\n"
    assert part_heads([Span(0, 1)], 10, None, b"xx")[0] == [
        b"\r\n--xx\r\nContent-Range: bytes 0-1/10\r\n\r\n"
    ]
