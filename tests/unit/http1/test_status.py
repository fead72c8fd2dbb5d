"""Status lines."""

from __future__ import annotations

import pytest

from proxy.http1.status import STATUS_LINES


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (100, b"HTTP/1.1 100 Continue"),
        (200, b"HTTP/1.1 200 OK"),
        (431, b"HTTP/1.1 431 Request Header Fields Too Large"),
        (599, b"HTTP/1.1 599 Unknown"),
    ],
)
def test_a_status_has_its_line(status: int, line: bytes) -> None:
    assert STATUS_LINES[status] == line


def test_every_status_that_may_pass_has_one_line() -> None:
    for status in range(100, 600):
        line = STATUS_LINES[status]
        assert line.startswith(b"HTTP/1.1 %d " % status)
        assert b"\r" not in line
