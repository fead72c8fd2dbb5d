"""Rows of counts, and what other processes see of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from math import isnan
from mmap import mmap

import pytest

from proxy.telemetry.catalogue import DURATION, IN_FLIGHT, SENT
from proxy.telemetry.ledger import SHARED_SIZE, Ledger, PrivateLedger, SharedLedger

COUNTING = """
import mmap, os, signal, sys
from proxy.telemetry.catalogue import IN_FLIGHT, SENT
from proxy.telemetry.ledger import SHARED_SIZE, SharedLedger
ledger = SharedLedger(mmap.mmap(int(sys.argv[1]), SHARED_SIZE), writer=True)
row = ledger.open(SENT, (sys.argv[2],))
for _ in range(1000):
    row[0] += 1
ledger.open(IN_FLIGHT, ())[0] = 5
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def shared() -> mmap:
    return mmap(-1, SHARED_SIZE)


@pytest.fixture(params=["private", "shared"])
def ledger(request: pytest.FixtureRequest, shared: mmap) -> Ledger:
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


def test_a_reader_sees_what_is_added_later(shared: mmap) -> None:
    writer, reader = SharedLedger(shared, writer=True), SharedLedger(shared)
    row = writer.open(SENT, ("a",))
    row[0] = 1.5
    assert told(reader) == {(SENT.name, ("a",)): [1.5]}
    row[0] += 1
    writer.open(DURATION, ("a",))[3] = 7
    assert told(reader)[SENT.name, ("a",)] == [2.5]
    assert told(reader)[DURATION.name, ("a",)][3] == 7
    [key] = [key for key, _ in reader.rows() if key[0].name == DURATION.name]
    assert key[0] == DURATION, "with all that the exposition needs to know"


def test_a_reader_may_come_first(shared: mmap) -> None:
    reader = SharedLedger(shared)
    assert reader.rows() == []
    SharedLedger(shared, writer=True).open(SENT, ("a",))[0] = 1
    assert told(reader) == {(SENT.name, ("a",)): [1]}


def test_what_a_killed_process_has_counted_goes_on() -> None:
    descriptor = os.memfd_create("ledger")
    os.ftruncate(descriptor, SHARED_SIZE)
    for _ in range(2):
        command = [sys.executable, "-c", COUNTING, str(descriptor), "a"]
        ended = subprocess.run(command, pass_fds=[descriptor], check=False)
        assert ended.returncode == -signal.SIGKILL
    memory = mmap(descriptor, SHARED_SIZE)
    os.close(descriptor)
    rows = told(SharedLedger(memory))
    assert rows[SENT.name, ("a",)] == [2000]
    assert rows[IN_FLIGHT.name, ()] == [5]
    successor = told(SharedLedger(memory, writer=True))
    assert successor[SENT.name, ("a",)] == [2000]
    assert isnan(successor[IN_FLIGHT.name, ()][0]), "that was true of the other process"


@pytest.mark.parametrize("memory", [mmap(-1, 4096), mmap(-1, SHARED_SIZE)], ids=["size", "use"])
def test_any_other_memory_is_refused(memory: mmap) -> None:
    memory[:8] = b"elephant"
    with pytest.raises(ValueError, match="no ledger"):
        SharedLedger(memory, writer=True)


def test_several_may_read_at_the_same_time(shared: mmap) -> None:
    writer, reader = SharedLedger(shared, writer=True), SharedLedger(shared)
    for number in range(3_000):
        writer.open(SENT, (str(number),))
    found: list[int] = []
    ready = threading.Barrier(4)

    def scrape() -> None:
        ready.wait()
        found.append(len(reader.rows()))

    threads = [threading.Thread(target=scrape) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert found == [3_000] * 4


def test_what_has_no_room_counts_for_nobody_and_fails_nobody(
    shared: mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.telemetry.ledger._NAMES_SIZE", 1_000)
    ledger = SharedLedger(shared, writer=True)
    ledger.open(SENT, ("too many cells",), 10**7)[0] += 1
    ledger.open(SENT, ("n" * 1_000,))[0] += 1
    ledger.open(SENT, ("a",))[0] = 1
    assert told(ledger) == told(SharedLedger(shared)) == {(SENT.name, ("a",)): [1]}
