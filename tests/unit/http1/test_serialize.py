"""Heads as bytes."""

from __future__ import annotations

import pytest

from proxy.http1.serialize import response_head


@pytest.mark.parametrize(
    ("lines", "head"),
    [
        ([], b"HTTP/1.1 200 OK\r\n\r\n"),
        ([b"A: 1"], b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\n"),
        ([b"A: 1", b"b: ", b"A: \xff"], b"HTTP/1.1 200 OK\r\nA: 1\r\nb: \r\nA: \xff\r\n\r\n"),
    ],
)
def test_a_head_has_one_empty_line_and_it_is_at_the_end(lines: list[bytes], head: bytes) -> None:
    assert response_head(200, lines) == head
