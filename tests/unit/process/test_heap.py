"""Memory that bodies need again and again stays with the process."""

from __future__ import annotations

import subprocess
import sys

FAULTS = """
import resource
from proxy.process.heap import settle_heap

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        pieces = [b"x" * 256_000 for _ in range(24)]
        del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
settle_heap()
faults()
print(before, faults())
"""


def test_pieces_of_bodies_cost_no_page_faults() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert after < before / 10
