"""A process that ends at once has written its lines, whatever ends it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

BEGIN = """
import ctypes, os, signal, sys, threading
from proxy.process.crash import flush_on_crash
from proxy.telemetry.sink import Sink
sink = Sink(sys.stdout.fileno())
flush_on_crash(sink)
sink.write(b"the last line\\n")
"""


def run(end: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", BEGIN + end]
    return subprocess.run(command, capture_output=True, check=False, timeout=30)


@pytest.mark.parametrize(
    ("end", "number"),
    [
        ("ctypes.string_at(0)", signal.SIGSEGV),
        ("ctypes.CDLL(None).memset(0, 1, 1)", signal.SIGSEGV),
        ("threading.Thread(target=ctypes.string_at, args=(0,)).start()", signal.SIGSEGV),
        ("os.abort()", signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGBUS)", signal.SIGBUS),
        ("signal.raise_signal(signal.SIGFPE)", signal.SIGFPE),
        ("signal.raise_signal(signal.SIGILL)", signal.SIGILL),
    ],
)
def test_of_a_fault(end: str, number: signal.Signals) -> None:
    ended = run(end)
    assert ended.returncode == -number
    assert ended.stdout == b"the last line\n"
    assert b"Current thread" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGXCPU, signal.SIGTRAP, signal.SIGSYS])
def test_of_a_signal(number: signal.Signals) -> None:
    ended = run(f"signal.raise_signal({number:d})")
    assert (ended.returncode, ended.stdout) == (-number, b"the last line\n")


def test_in_the_midst_of_a_line() -> None:
    ended = run("sink._lock.acquire()\nctypes.string_at(0)")
    assert (ended.returncode, ended.stdout) == (-signal.SIGSEGV, b"the last line\n")


@pytest.mark.parametrize(("end", "code"), [("", 0), ("sys.exit(3)", 3), ("1 / 0", 1)])
def test_of_its_own_accord(end: str, code: int) -> None:
    ended = run(end)
    assert (ended.returncode, ended.stdout) == (code, b"the last line\n")


def test_that_can_not_write_any_more() -> None:
    broken = "class Broken:\n  def close(self, seconds): raise OSError\nflush_on_crash(Broken())\n"
    ended = run(broken + "ctypes.string_at(0)")
    assert ended.returncode == -signal.SIGSEGV
    assert b"Current thread" in ended.stderr
