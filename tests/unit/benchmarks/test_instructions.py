"""A request takes no more of the interpreter's instructions than it took before."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

from tests.benchmarks.instructions import FILE, python

# Timers and identifiers made for many at once fall into one run or another.
TOLERANCE: Final = 1.02
# Another interpreter divides the same work into instructions of its own.
OTHER_INTERPRETER: Final = 1.4


def test_no_request_grew() -> None:
    kept = json.loads(FILE.read_text())
    most = TOLERANCE if python() in kept else OTHER_INTERPRETER
    before = kept.get(python(), kept["3.11"])
    # In a process of its own, where nothing else traces.
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.instructions"],
        capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    counts = json.loads(done.stdout)
    assert counts.keys() == before.keys()
    grown = {
        name: f"{before[name]} to {counts[name]}"
        for name in counts
        if counts[name] > before[name] * most
    }
    assert not grown, f"take it back, or say why in the commit and run `make weigh`: {grown}"
