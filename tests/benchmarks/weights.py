"""What stored responses take of memory, beside what the cache reckons that they take.

`python -m tests.benchmarks.weights`. The bound of the cache holds only as well as that.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from typing import Final

from proxy.http1.headers import Headers
from proxy.policies.cache.answer import render_hit
from proxy.policies.cache.entry import Entry
from proxy.policies.cache.storing import Terms
from proxy.store.trove import Trove

COUNT: Final = 5_000
LIMIT: Final = 1 << 40
SIZES: Final = (0, 60, 1_000, 20_000)
FIELDS: Final = (0, 5, 20)


def taken(size: int, fields: int, tags: int) -> tuple[float, float]:
    """Bytes of memory that a response took which was sent once, and those that were reckoned."""
    gc.collect()
    tracemalloc.start()
    trove = Trove(LIMIT, LIMIT, None)
    for number in range(COUNT):
        url = f"https://shop.example/products/{number}?colour=red"
        headers = Headers(
            [(b"X-Field-%d" % place, b"value %d" % number) for place in range(fields)]
        )
        if tags:
            headers.append(b"Cache-Tag", b",".join(b"tag%d-%d" % (n, number) for n in range(tags)))
        terms = Terms(60.0, "explicit", 0.0, 0.0, 600.0, False, False, (), frozenset())
        entry = Entry(url + " zone ", url, 200, headers, bytes(size), terms, 0.0, 0.0, 0.1, 1.0)
        trove.put(entry)
        render_hit(entry, 1.0, status=True)
    gc.collect()
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return memory / COUNT, trove.facts()["bytes"] / COUNT


def table() -> Iterator[str]:
    """Lines of a Markdown table."""
    yield "| body | fields | tags | taken | reckoned |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    for size in SIZES:
        for fields in FIELDS:
            for tags in (0, 3):
                real, reckoned = taken(size, fields, tags)
                yield f"| {size:,} | {fields} | {tags} | {real:,.0f} | {reckoned:,.0f} |"


if __name__ == "__main__":
    print("Bytes of memory for each stored response:\n")
    print("\n".join(table()))
