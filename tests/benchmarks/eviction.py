"""How often the cache's memory has what is asked for, beside LRU and the optimum.

`python -m tests.benchmarks.eviction`. It needs no quiet machine: the figures are ratios of
the same trace each time.
"""

from __future__ import annotations

import heapq
from bisect import bisect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, count
from random import Random
from typing import Final

from proxy.store.s3fifo import MAX_VISITS, S3Fifo

LENGTH: Final = 200_000
NAMES: Final = 50_000
SIZES: Final = (500, 2_500, 10_000)
WORKERS: Final = 4
CAPTION: Final = f"{LENGTH:,} requests for {NAMES:,} objects of one size; the share found:"


class Thing:
    """An object of a key and a weight."""

    def __init__(self, key: str, weight: int = 1) -> None:
        self.key = key
        self.weight = weight
        self.visits = 0


def visit(queue: S3Fifo[Thing], key: str) -> bool:
    """Find a thing as its visitors do."""
    thing = queue.find(key)
    if thing is not None:
        thing.visits = min(thing.visits + 1, MAX_VISITS)
    return thing is not None


def zipf(length: int, names: int, alpha: float, seed: int) -> list[str]:
    """A trace in which the n-th name is asked for by 1/n to the power of `alpha`."""
    random = Random(seed)
    ranks = list(accumulate(1 / (rank + 1) ** alpha for rank in range(names)))
    return [str(bisect(ranks, random.random() * ranks[-1])) for _ in range(length)]


def scanned(trace: Sequence[str], every: int, length: int) -> list[str]:
    """A trace into which a crawler comes from time to time."""
    fresh = map("scan{}".format, count())
    mixed: list[str] = []
    for place in range(0, len(trace), every):
        mixed += trace[place : place + every]
        mixed += [next(fresh) for _ in range(length)]
    return mixed


def by_s3fifo(trace: Sequence[str], size: int) -> float:
    """The share of a trace that the cache's memory has, when it holds `size` objects."""
    return _hits(trace, size) / len(trace)


def by_workers(trace: Sequence[str], size: int) -> float:
    """As `by_s3fifo`, with workers that have a part of the memory and of the requests each."""
    random = Random(5)
    parts: list[list[str]] = [[] for _ in range(WORKERS)]
    for key in trace:
        random.choice(parts).append(key)
    return sum(_hits(part, size // WORKERS) for part in parts) / len(trace)


def by_lru(trace: Sequence[str], size: int) -> float:
    """The share when what was asked for longest ago leaves."""
    kept: OrderedDict[str, None] = OrderedDict()
    hits = 0
    for key in trace:
        if key in kept:
            hits += 1
            kept.move_to_end(key)
        else:
            kept[key] = None
            if len(kept) > size:
                kept.popitem(last=False)
    return hits / len(trace)


def by_foresight(trace: Sequence[str], size: int) -> float:
    """The optimum: the share when what is needed latest leaves (Belady)."""
    following = [0] * len(trace)
    latest: dict[str, int] = {}
    for place in range(len(trace) - 1, -1, -1):
        following[place] = latest.get(trace[place], len(trace) * 2)
        latest[trace[place]] = place
    kept: dict[str, int] = {}
    queue: list[tuple[int, str]] = []
    hits = 0
    for place, key in enumerate(trace):
        hits += key in kept
        kept[key] = following[place]
        heapq.heappush(queue, (-following[place], key))
        while len(kept) > size:
            when, other = heapq.heappop(queue)
            if kept.get(other) == -when:
                del kept[other]
    return hits / len(trace)


def table() -> Iterator[str]:
    """Lines of a Markdown table: hit ratios by trace and size."""
    ways: dict[str, Callable[[Sequence[str], int], float]] = {
        "Sidegate": by_s3fifo,
        f"{WORKERS} workers": by_workers,
        "LRU": by_lru,
        "optimum": by_foresight,
    }
    yield f"| trace | objects kept | {' | '.join(ways)} |"
    yield "| --- | ---: |" + " ---: |" * len(ways)
    plain = zipf(LENGTH, NAMES, 0.9, seed=3)
    for name, trace in {
        "Zipf 0.9": plain,
        "Zipf 0.7": zipf(LENGTH, NAMES, 0.7, seed=3),
        "Zipf 0.9, crawled": scanned(plain, 5_000, 1_500),
    }.items():
        for size in SIZES:
            ratios = " | ".join(f"{way(trace, size):.3f}" for way in ways.values())
            yield f"| {name} | {size:,} | {ratios} |"


def _hits(trace: Sequence[str], size: int) -> int:
    queue: S3Fifo[Thing] = S3Fifo(size, lambda _: None)
    hits = 0
    for key in trace:
        if visit(queue, key):
            hits += 1
        else:
            queue.put(Thing(key))
    return hits


if __name__ == "__main__":
    print(CAPTION, end="\n\n")
    print("\n".join(table()))
