"""What wrk counted is read exactly, and asked with exactly the bytes that are meant."""

from __future__ import annotations

import sys

import pytest

from tests.benchmarks.load import finish, read_counts
from tests.benchmarks.requests import BROWSER, POST, SEQUENCE, SMALL, download, unique


def test_the_counts_of_the_load_are_read_exactly() -> None:
    output = (
        "Running 2s test\n"
        'COUNTED {"requests": 300, "microseconds": 2000000, "p50": 1500, "p99": 9000, '
        '"refused": 2, "failed": 1}'
    )
    load = read_counts(output, "", 0.5)
    assert (load.requests, load.seconds, load.p50, load.p99) == (300, 2.0, 1.5, 9.0)
    assert (load.refused, load.failed, load.cpu_seconds) == (2, 1, 0.5)


def test_a_load_that_counted_nothing_says_why() -> None:
    with pytest.raises(RuntimeError, match="unable to connect"):
        read_counts("", "unable to connect to 127.0.0.1", 0.0)


def test_a_load_that_comes_to_no_end_is_ended() -> None:
    with pytest.raises(RuntimeError, match="no end"):
        finish([sys.executable, "-c", "import time; time.sleep(60)"], {}, 0.1)


def test_requests_are_as_the_workloads_say() -> None:
    assert BROWSER.count(b"\r\n") == 1 + 12 + 1
    assert len(BROWSER) == pytest.approx(1024, rel=0.15)
    assert len(POST.partition(b"\r\n\r\n")[2]) == 10 * 1024
    assert download(7).startswith(b"GET /download/7 HTTP/1.1\r\n")
    for request in (SMALL, BROWSER):
        assert unique(request).count(SEQUENCE) == 5
        assert unique(request).endswith(request.split(b"\r\n", 1)[1])
