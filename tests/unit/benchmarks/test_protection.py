"""What looking at a request may cost, beside what reading 1 KiB of JSON does on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from tests.benchmarks.cost import cpu_microseconds
from tests.benchmarks.protection import BODY, costs

READS = 100


@pytest.fixture
def untraced() -> Iterator[None]:
    """Coverage makes lines of Python three times as slow, and the yardstick not at all."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


def read() -> None:
    for _ in range(READS):
        json.loads(BODY)


@pytest.mark.usefixtures("untraced")
def test_the_shield_keeps_to_its_budget() -> None:
    assert 1000 < len(BODY) < 1200
    yardstick = min(cpu_microseconds(read) for _ in range(20)) / READS
    rows = {row.what: row.microseconds / yardstick for row in costs(requests=100, rounds=5)}
    # The budget is 15 µs for a bare GET and 150 µs for 1 KiB of JSON where reading it takes 5.
    assert rows["shield, bare GET"] < 2
    assert rows["shield, GET of a browser with a query"] < 5
    assert rows["shield, 1 KiB of JSON"] < 15
    # Gates that look nothing up but what they were given.
    for gate in ("ip_filter", "hosts", "methods", "csrf", "bots"):
        assert rows[gate] < rows["shield, 1 KiB of JSON"] / 5
