"""Rows come from the process of another interpreter, and so does what it failed of."""

from __future__ import annotations

import sys

import pytest

from tests.benchmarks.inside import rows


def test_rows_come_back() -> None:
    found = rows(sys.executable, "limits:costs", 10)
    assert found[0].what == "one worker"
    assert all(isinstance(row.microseconds, float) for row in found)


def test_a_failure_is_told() -> None:
    with pytest.raises(RuntimeError, match="no_such_measure"):
        rows(sys.executable, "limits:no_such_measure")
