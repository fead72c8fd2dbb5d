"""What upstreams are given to work with: time, chance, tasks, metrics and a log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from proxy.contract import Log, Metrics
from proxy.wire.deadlines import Deadlines
from proxy.wire.turn import Turn


@dataclass(frozen=True, slots=True)
class Means:
    """clock: monotonic seconds. wall: seconds since 1970, UTC. uniform: from 0 to less than 1.
    deadlines: swept from time to time. turn: of the loop. spawn: run in the background."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    wall: Callable[[], float]
    uniform: Callable[[], float]
    deadlines: Deadlines
    turn: Turn
    spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    metrics: Metrics
    log: Log
