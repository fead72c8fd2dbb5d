"""What a request asks for of memory is counted."""

from __future__ import annotations

from tests.benchmarks.allocations import Count, count, read_trace


def test_a_trace_is_read() -> None:
    trace = [
        "= Start",
        "@ /usr/lib/libc.so.6:(strdup+0x1f)[0x7f] + 0x55 0x10",
        "@ [0x7f] - 0x55",
        "@ [0x7f] < 0x55",
        "@ [0x7f] > 0x66 0x20",
        "= End",
    ]
    assert read_trace(trace) == Count(2, 48)


def test_a_request_with_more_in_it_asks_for_more() -> None:
    counts = count()
    assert 50 < counts["small GET"].allocations < counts["browser GET"].allocations < 1_000
    # Its body of 10 KiB is taken and passed on.
    more = counts["POST of 10 KiB"].bytes - counts["small GET"].bytes
    assert 10 * 1024 <= more < 4 * 10 * 1024
