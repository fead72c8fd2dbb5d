"""Locks in shared memory that a process can't take to its grave.

POSIX robust mutexes, by way of the C library that is loaded anyway: without contention one
costs 0.2 µs, and no system call; a record lock of a file costs 1.4 µs. When a process dies
with one in hand, the kernel gives it to the next who asks. Must not know what is guarded.

Nobody waits for ever: a process that was stopped with a lock in hand would stop all others.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EBUSY, EOWNERDEAD
from math import modf
from mmap import mmap
from typing import Final

SIZE: Final = 64
"""Bytes that a lock takes: a cache line, and more than any C library needs."""

# A holder that the machine is too busy to run goes on within some scheduler's turns.
_PATIENCE: Final = 0.1
_RESENTMENT: Final = 1.0
_FIRST_PATIENCE: Final = 0.02
_FIRST_TRIES: Final = 50
_SHARED: Final = 1
_ROBUST: Final = 1


class _Moment(ctypes.Structure):
    """A `timespec`."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def _after(now: float, seconds: float) -> _Moment:
    fraction, whole = modf(now + seconds)
    return _Moment(int(whole), int(fraction * 1e9))


def prepare(memory: mmap, start: int, count: int) -> None:
    """Make `count` open locks in memory that no other process uses yet."""
    library = ctypes.CDLL(None)
    attributes = ctypes.create_string_buffer(SIZE)
    library.pthread_mutexattr_init(attributes)
    library.pthread_mutexattr_setpshared(attributes, _SHARED)
    library.pthread_mutexattr_setrobust(attributes, _ROBUST)
    address = _address(memory) + start
    for number in range(count):
        library.pthread_mutex_init(ctypes.c_void_p(address + number * SIZE), attributes)


@contextmanager
def first(memory: mmap, start: int, wall: Callable[[], float]) -> Iterator[None]:
    """Hold the lock that nobody had to prepare: zeros are an open lock.

    Nor is it robust: after a second its holder is taken for dead.
    """
    library = ctypes.CDLL(None)
    library.pthread_mutex_timedlock.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Moment))
    address = _address(memory) + start
    for _ in range(_FIRST_TRIES):
        # It wakes nobody in another process, so waiting is done by looking again.
        if library.pthread_mutex_timedlock(address, _after(wall(), _FIRST_PATIENCE)) == 0:
            break
    try:
        yield
    finally:
        library.pthread_mutex_unlock(ctypes.c_void_p(address))


class Locks:
    """Locks that `prepare` made. wall: seconds since 1970, the clock of their patience."""

    def __init__(self, memory: mmap, start: int, wall: Callable[[], float]) -> None:
        # Addresses alone would not keep it.
        self._memory = memory
        self._first = _address(memory) + start
        self._wall = wall
        self._stuck: dict[int, float] = {}
        # Without releasing the interpreter's lock: for a call that never waits it isn't worth it.
        quick = ctypes.PyDLL(None)
        self._trylock = quick.pthread_mutex_trylock
        self._trylock.argtypes = (ctypes.c_void_p,)
        self._unlock = quick.pthread_mutex_unlock
        self._unlock.argtypes = (ctypes.c_void_p,)
        self._consistent = quick.pthread_mutex_consistent
        self._consistent.argtypes = (ctypes.c_void_p,)
        self._timedlock = ctypes.CDLL(None).pthread_mutex_timedlock
        self._timedlock.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Moment))

    def address(self, number: int) -> int:
        """What `acquire` and `release` take for the lock of this number."""
        return self._first + number * SIZE

    def acquire(self, address: int) -> bool:
        """Take a lock; False when its holder didn't let go within 100 ms.

        A lock that was waited for in vain is not waited for again for a second.
        """
        code: int = self._trylock(address)
        return not code or self._insist(address, code)

    def release(self, address: int) -> None:
        """Let go of a lock."""
        self._unlock(address)

    def _insist(self, address: int, code: int) -> bool:
        if code == EBUSY:
            now = self._wall()
            if abs(now - self._stuck.get(address, 0.0)) < _RESENTMENT:
                return False
            code = self._timedlock(address, _after(now, _PATIENCE))
            if code not in (0, EOWNERDEAD):
                self._stuck[address] = now
                return False
            self._stuck.pop(address, None)
        if code == EOWNERDEAD:
            # Records are written so that half a change does no harm.
            self._consistent(address)
            return True
        return code == 0


def _address(memory: mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
