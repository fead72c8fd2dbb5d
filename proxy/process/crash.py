"""What a process that is made to end at once still does: write the lines it has collected.

May live here: signals that end a process. Those that somebody sends reach Python between two
of its instructions. A fault, or `abort()`, comes in the midst of one, and Python would never
hear of it: its handler is C's, which calls back. That may fail in turn, whereupon the process
ends as it would have anyhow: a second fault within a handler ends it, and so does an alarm.
After it come the stacks of all threads, on standard error, and the end by the signal itself.
SIGQUIT shows the stacks as well, since it is for processes that stand still.
"""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

from proxy.telemetry.sink import Sink

_SENT: Final = (signal.SIGQUIT, signal.SIGXCPU, signal.SIGTRAP, signal.SIGSYS)
_FAULTS: Final = (
    signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT,
)  # fmt: skip
_CLOSE_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 3

_Handler: Final = ctypes.CFUNCTYPE(None, ctypes.c_int)
# C holds no reference.
_handlers: Final[list[object]] = []


def flush_on_crash(sink: Sink) -> None:
    """Have the sink written when the process ends, whether it exits or such a signal comes."""
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)
    atexit.register(sink.close, _CLOSE_SECONDS)

    def end(number: int, _: FrameType | None) -> None:
        sink.close(_CLOSE_SECONDS)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    for number in _SENT:
        signal.signal(number, end)
    if sys.__stderr__ is not None:
        faulthandler.register(signal.SIGQUIT, sys.__stderr__, chain=True)
    _on_fault(lambda: sink.close(_CLOSE_SECONDS))


def _on_fault(rescue: Callable[[], object]) -> None:
    """Do this when there is a fault, before the process ends of it."""

    def fault(number: int) -> None:
        signal.alarm(_PATIENCE_SECONDS)
        try:
            rescue()
        finally:
            # Enabled anew, it takes the place of this handler.
            faulthandler.disable()
            if sys.__stderr__ is not None:
                faulthandler.enable(sys.__stderr__)
            # Comes when this handler has returned. A fault would come again by itself.
            signal.pthread_kill(threading.get_ident(), number)

    handler = _Handler(fault)
    _handlers.append(handler)
    install = ctypes.CDLL(None).signal
    install.argtypes = (ctypes.c_int, _Handler)
    install.restype = ctypes.c_void_p
    for number in _FAULTS:
        install(number, handler)
