"""How a process that serves keeps its memory."""

from __future__ import annotations

import ctypes
import gc
from typing import Final

# Of malloc.h; the GNU C library's own.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
# Unused memory that stays with the process, and the size from which a block is the system's.
_KEPT: Final = 8 * 1024 * 1024
_LARGE: Final = 4 * 1024 * 1024


def settle_heap() -> None:
    """Call it when what lives until the end is there.

    The collector need not look at that again. And memory stays with the process for a while
    when it isn't used: a body's pieces of 256 KB would else be given back and asked for anew
    each time, which took 24 page faults for 100 KiB, and a quarter of their CPU time. Where
    the C library is another one it is left as it is.
    """
    gc.collect()
    gc.freeze()
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_M_TRIM_THRESHOLD, _KEPT)
        tune(_M_MMAP_THRESHOLD, _LARGE)
