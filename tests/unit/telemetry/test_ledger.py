"""Rows of counts, and what other processes see of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from math import isnan

import pytest

from proxy.telemetry.catalogue import DURATION, IN_FLIGHT, SENT
from proxy.telemetry.ledger import Ledger, PrivateLedger, SharedLedger, make_shared

COUNTING = """
import os, signal, sys
from proxy.telemetry.catalogue import IN_FLIGHT, SENT
from proxy.telemetry.ledger import SharedLedger
ledger = SharedLedger(int(sys.argv[1]), writer=True)
row = ledger.open(SENT, (sys.argv[2],))
for _ in range(1000):
    row[0] += 1
ledger.open(IN_FLIGHT, ())[0] = 5
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def shared() -> Iterator[int]:
    descriptor = make_shared()
    yield descriptor
    os.close(descriptor)


@pytest.fixture(params=["private", "shared"])
def ledger(request: pytest.FixtureRequest, shared: int) -> Ledger:
    return PrivateLedger() if request.param == "private" else SharedLedger(shared, writer=True)


def told(ledger: Ledger) -> dict[tuple[str, tuple[str, ...]], list[float]]:
    return {
        (family.name, labels): [row[place] for place in range(len(row))]
        for (family, labels), row in ledger.rows()
    }


def test_a_series_has_one_row(ledger: Ledger) -> None:
    ledger.open(SENT, ("a",))[0] += 2
    ledger.open(SENT, ("a",))[0] += 3
    ledger.open(SENT, ("b",))[0] += 1
    assert told(ledger) == {(SENT.name, ("a",)): [5], (SENT.name, ("b",)): [1]}


def test_a_row_is_as_long_as_its_family_says(ledger: Ledger) -> None:
    assert len(ledger.open(SENT, ("a",))) == 1
    assert len(ledger.open(DURATION, ("a",))) == len(DURATION.bounds) + 2
    assert len(ledger.open(SENT, ("b",), 40)) == 40


def test_labels_may_hold_anything(ledger: Ledger) -> None:
    labels = ('a"b\\c\nd\x00 é \udcff',)
    ledger.open(SENT, labels)[0] = 1
    assert told(ledger) == {(SENT.name, labels): [1]}


def test_a_reader_sees_what_is_added_later(shared: int) -> None:
    writer, reader = SharedLedger(shared, writer=True), SharedLedger(shared, writer=False)
    row = writer.open(SENT, ("a",))
    row[0] = 1.5
    assert told(reader) == {(SENT.name, ("a",)): [1.5]}
    row[0] += 1
    writer.open(DURATION, ("a",))[3] = 7
    assert told(reader)[SENT.name, ("a",)] == [2.5]
    assert told(reader)[DURATION.name, ("a",)][3] == 7
    [key] = [key for key, _ in reader.rows() if key[0].name == DURATION.name]
    assert key[0] == DURATION, "with all that the exposition needs to know"


def test_a_reader_can_not_write(shared: int) -> None:
    SharedLedger(shared, writer=True).open(SENT, ("a",))
    [(_, row)] = SharedLedger(shared, writer=False).rows()
    with pytest.raises(TypeError):
        row[0] = 1


def test_what_a_killed_process_has_counted_goes_on(shared: int) -> None:
    for _ in range(2):
        command = [sys.executable, "-c", COUNTING, str(shared), "a"]
        ended = subprocess.run(command, pass_fds=[shared], check=False)
        assert ended.returncode == -signal.SIGKILL
    rows = told(SharedLedger(shared, writer=False))
    assert rows[SENT.name, ("a",)] == [2000]
    assert rows[IN_FLIGHT.name, ()] == [5]
    successor = told(SharedLedger(shared, writer=True))
    assert successor[SENT.name, ("a",)] == [2000]
    assert isnan(successor[IN_FLIGHT.name, ()][0]), "that was true of the other process"


def test_any_other_file_is_refused(shared: int) -> None:
    os.pwrite(shared, b"elephant", 0)
    with pytest.raises(ValueError, match="no ledger"):
        SharedLedger(shared, writer=True)


def test_a_full_ledger_says_so(shared: int) -> None:
    ledger = SharedLedger(shared, writer=True)
    with pytest.raises(MemoryError):
        ledger.open(SENT, ("a",), 10**9)
    ledger.open(SENT, ("a",))[0] = 1
    assert told(ledger) == {(SENT.name, ("a",)): [1]}
