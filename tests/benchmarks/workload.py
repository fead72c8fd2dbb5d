"""What is asked of the proxies: each workload is one kind of request, the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.benchmarks.peers.peer import Duty
from tests.benchmarks.requests import BROWSER, KIB, MIB, POST, SMALL, download, unique


@dataclass(frozen=True, slots=True)
class Workload:
    """title: as the tables show it. request: its bytes, see `requests`. connections: of the
    load. duty: what the proxies are to do of it.
    """

    title: str
    request: bytes
    connections: int = 64
    duty: Duty = "forward"


WORKLOADS: Final[dict[str, tuple[Workload, ...]]] = {
    "small": (
        Workload("small GET", SMALL),
        Workload("small GET, never the same", unique(SMALL)),
    ),
    "browser": (
        Workload("GET of a browser", BROWSER),
        Workload("GET of a browser, never the same", unique(BROWSER)),
    ),
    "post": (Workload("POST of 10 KiB", POST),),
    "download-100k": (Workload("download of 100 KiB", download(100 * KIB)),),
    # Each ends with a round in the middle of a download, whose CPU time is counted and which is
    # not; and more would measure the memory of the machine.
    "download-10m": (Workload("download of 10 MiB", download(10 * MIB), connections=4),),
    "refusals": (Workload("refusal, 429", SMALL, duty="refuse"),),
    "cache": (Workload("answer from the cache", SMALL, duty="cache"),),
}
"""By their names on the command line."""
