"""What upstreams are given to work with, in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, cast

from proxy.upstream.means import Means
from proxy.wire.deadlines import Deadlines
from tests.unit.policies.world import World

# What nothing here may use.
NOTHING = cast("Any", None)


def some_means(
    world: World,
    clock: Callable[[], float],
    deadlines: Deadlines | None = None,
    loop: asyncio.AbstractEventLoop = NOTHING,
) -> Means:
    """The means of a world. clock: monotonic seconds."""
    return Means(
        loop=loop,
        clock=clock,
        wall=lambda: world.wall,
        uniform=Random(7).random,
        deadlines=Deadlines(clock) if deadlines is None else deadlines,
        turn=NOTHING,
        spawn=NOTHING,
        metrics=world.journal,
        log=world.journal,
    )
