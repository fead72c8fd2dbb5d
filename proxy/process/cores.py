"""How many processors this process may use."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup/cpu.max")


def cores(quota: Path = _CGROUP) -> int:
    """At least 1: the processors it may run on, or fewer if a container's limit says so.

    quota: the cgroup's `cpu.max`, microseconds of CPU time and of the period in which they
    may be used; a part of a processor counts as one.
    """
    count = len(os.sched_getaffinity(0))
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
        count = min(count, ceil(int(allowed) / int(period)))
    except (OSError, ValueError):
        # No such file, or `max` for no limit.
        pass
    return max(count, 1)
