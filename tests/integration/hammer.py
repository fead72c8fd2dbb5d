"""A process that takes from a shared limit as fast as it can: `hammer.py DESCRIPTOR NUMBER`.

It begins when it is sent a line, writes how many it was admitted behind the shared region, and
ends when it was refused often enough or is killed.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from mmap import mmap
from typing import Final

from proxy.limits import Quota
from proxy.store.memory import Memory, MemoryLimiter
from proxy.store.region import Region, size_of

KEYS: Final = 1000
WORKERS: Final = 8
LIMIT: Final = Quota("fixed_window", 100_000, 1e9, 100_000)
COUNTS: Final = 64
"""Bytes behind the region, a number for each process."""


def size() -> int:
    """Bytes of the memory that the processes share."""
    return size_of(KEYS, WORKERS) + COUNTS


def attach(descriptor: int, number: int) -> tuple[mmap, MemoryLimiter]:
    """The shared memory, and the limiter of one process in it."""
    memory = mmap(descriptor, size())
    region = Region.shared(
        memory, KEYS, WORKERS, worker=number, secret=os.urandom(16), wall=time.time
    )
    store = Memory(region, time.monotonic, time.time, number)
    return memory, store.limiter("hammer", [LIMIT])


def admitted(memory: mmap) -> list[int]:
    """How many each process was admitted, as far as it has told."""
    return list(struct.unpack_from(f"<{WORKERS}Q", memory, size() - COUNTS))


def main() -> None:
    """Hammer."""
    descriptor, number = int(sys.argv[1]), int(sys.argv[2])
    memory, limiter = attach(descriptor, number)
    place = size() - COUNTS + 8 * number
    count = 0
    refused = 0
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    while refused < 1000:
        [verdict] = limiter.take("everybody")
        if verdict.source != "store":
            # The machine was too busy to run who had the lock; this was not counted there.
            continue
        if verdict.allowed:
            count += 1
            struct.pack_into("<Q", memory, place, count)
        else:
            refused += 1


if __name__ == "__main__":
    main()
