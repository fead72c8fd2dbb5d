"""What a process that is made to end at once still does: write the lines it has collected.

May live here: signals that end a process and that a Python program gets to see. A fault of
the processor (SIGSEGV and the like) leaves no time for Python: the stacks of all threads go
to standard error, and lines of the last 0.2 s are lost with the memory they are in. SIGQUIT
shows the stacks as well, since it is for processes that stand still.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import signal
import sys
from types import FrameType
from typing import Final

from proxy.telemetry.sink import Sink

_ENDING: Final = (signal.SIGQUIT, signal.SIGABRT, signal.SIGXCPU, signal.SIGTRAP, signal.SIGSYS)
_CLOSE_SECONDS: Final = 1.0


def flush_on_crash(sink: Sink) -> None:
    """Have the sink written when the process ends, whether it exits or such a signal comes."""
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)
    atexit.register(sink.close, _CLOSE_SECONDS)

    def end(number: int, _: FrameType | None) -> None:
        sink.close(_CLOSE_SECONDS)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    for number in _ENDING:
        signal.signal(number, end)
    if sys.__stderr__ is not None:
        faulthandler.register(signal.SIGQUIT, sys.__stderr__, chain=True)
