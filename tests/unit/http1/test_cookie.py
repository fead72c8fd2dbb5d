"""One cookie of a request by its name."""

from __future__ import annotations

import pytest

from proxy.http1.cookie import cookie_value
from tests.unit.policies.world import some_headers


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ((), None),
        (("a=1",), None),
        (("sid=7",), b"7"),
        (("a=1; sid=7; b=2",), b"7"),
        (("a=1;sid = 7 ",), b"7"),
        (("a=1", "sid=7"), b"7"),
        (("sid=7; sid=8",), b"7"),
        (('sid="7"',), b'"7"'),
        (("sid=a=b",), b"a=b"),
        (("sid",), None),
        (("xsid=1; sidx=2; SID=3",), None),
    ],
)
def test_values(lines: tuple[str, ...], value: bytes | None) -> None:
    headers = some_headers(*(("Cookie", line) for line in lines))
    assert cookie_value(headers, "sid") == value
