"""The way out for log lines: batches, one writer thread, and a bound.

May live here: how bytes leave the process, and what happens when nobody reads them. Must
not live here: what a line says. `write` never blocks, so a slow reader of standard output
costs lines, which are counted, and never the event loop's time.
"""

from __future__ import annotations

import fcntl
import os
import select
from collections import deque
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Final, NamedTuple, Protocol

FLUSH_SECONDS: Final = 0.2
"""How often whoever owns a sink flushes it."""

# Each batch wakes the writer thread, which takes the interpreter lock from the loop.
_BATCH: Final = 128 * 1024
_LATE_MAX: Final = 256
_POLL_MS: Final = 1000
_LOCK_SECONDS: Final = 0.1
# Lines tell of clients: their addresses are nobody's business but the operator's.
_FILE_MODE: Final = 0o640


class Stream(Protocol):
    """What a sink may write to besides a file descriptor."""

    def write(self, data: bytes, /) -> object:
        """Take all the bytes."""
        ...

    def flush(self) -> object:
        """Send them on."""
        ...


class _Turn(NamedTuple):
    """From here on lines go elsewhere: to a descriptor, or None for the target."""

    descriptor: int | None


class Sink:
    """Collects lines and has a thread write them.

    target: a file descriptor or a binary stream; it stays open when the sink closes.
    limit_bytes: how much may wait for a slow reader; batches beyond it are dropped.

    Usable from every thread, and from finalizers that interrupt a write.
    """

    def __init__(self, target: int | Stream, *, limit_bytes: int = 4 * 1024 * 1024) -> None:
        self._target = target
        self._limit = limit_bytes
        # What is being collected, and its bytes: joined in the end, for half of what it costs to
        # append each line to a buffer.
        self._lines: list[bytes] = []
        self._size = 0
        self._lock = Lock()
        # Lines that came while the lock was held: from another thread, or from a finalizer
        # that the garbage collector ran in the middle of this thread's own write.
        self._late: deque[bytes] = deque()
        self._batches: SimpleQueue[bytes | _Turn | None] = SimpleQueue()
        # In place of the target, while lines go to a file. The path is kept to open it anew.
        self._file: int | None = None
        self._path = ""
        # Each of the two is written by one side only, so no update is lost.
        self._offered = 0
        self._finished = 0
        self._refused = 0
        self._lost = 0
        self._closed = False
        self._shared: int | None = None
        self.errors = 0
        self._writer = Thread(target=self._run, name="sidegate-log", daemon=True)
        self._writer.start()

    @property
    def dropped(self) -> int:
        """Lines that were not written: the reader was too slow, or writing failed."""
        return self._refused + self._lost

    @property
    def pending(self) -> int:
        """Bytes that wait to be written, without those of the batch being collected."""
        return self._offered - self._finished

    @property
    def tty(self) -> bool:
        """A person reads this on a terminal."""
        return isinstance(self._target, int) and os.isatty(self._target)

    def share(self, lock: int) -> None:
        """Other processes write to the same target, with a lock on the same file.

        lock: a descriptor of that file. A pipe takes what is longer than a page in pieces,
        between which others' lines would come.
        """
        self._shared = lock

    def write(self, line: bytes) -> None:
        """Take one line, with its newline. Never blocks and never raises."""
        if not self._lock.acquire(False):
            if len(self._late) < _LATE_MAX:
                self._late.append(line)
            else:
                self._refused += 1
            return
        try:
            self._size += len(line)
            self._lines.append(line)
            if self._late or self._size >= _BATCH:
                self._hand_over()
        finally:
            self._lock.release()

    def flush(self) -> None:
        """Hand what has been collected to the writer; meant for a timer. Never blocks."""
        if (self._lines or self._late) and self._lock.acquire(False):
            try:
                self._hand_over()
            finally:
                self._lock.release()

    def redirect(self, path: str) -> None:
        """Append to a file what comes from now on; empty for the target again.

        Raises OSError when it can't be opened; then everything stays as it was.
        """
        if path != self._path:
            self._turn(path)

    def reopen(self) -> None:
        """Open the file anew, as it may have been renamed. Raises as `redirect`."""
        if self._path:
            self._turn(self._path)

    def _turn(self, path: str) -> None:
        descriptor = open_file(path) if path else None
        with self._lock:
            self._hand_over()
            self._batches.put(_Turn(descriptor))
            self._path = path

    def close(self, deadline: float = 1.0) -> bool:
        """Write what is left and end the thread; lines that come later count as dropped.

        deadline: seconds that this may block. False when the reader was too slow for it;
        the batches that were left count as dropped.
        """
        if not self._closed:
            # A signal that ends the process may have come in the midst of a write, which then
            # goes on no more: the lock is not waited for.
            held = self._lock.acquire(timeout=_LOCK_SECONDS)
            self._hand_over()
            self._closed = True
            if held:
                self._lock.release()
            self._batches.put(None)
        self._writer.join(deadline)
        if not self._writer.is_alive():
            return True
        while not self._batches.empty():
            batch = self._batches.get()
            if isinstance(batch, bytes):
                self._refused += batch.count(b"\n")
        self._batches.put(None)
        return False

    def _hand_over(self) -> None:
        lines = self._lines
        while self._late:
            lines.append(self._late.popleft())
        if not lines:
            return
        self._lines = []
        self._size = 0
        batch = b"".join(lines)
        # A batch always fits into an empty queue, whatever the limit.
        waiting = self._offered - self._finished
        if self._closed or (waiting and waiting + len(batch) > self._limit):
            self._refused += batch.count(b"\n")
            return
        self._offered += len(batch)
        self._batches.put(batch)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            if isinstance(batch, _Turn):
                self._use(batch.descriptor)
                continue
            lock = self._shared
            try:
                if lock is not None:
                    # Of the process, so that it ends with one that is killed.
                    fcntl.lockf(lock, fcntl.LOCK_EX)
                self._send(batch)
            except (OSError, ValueError):
                # ValueError: somebody closed the stream. Logging has nobody to tell, so
                # the counters do.
                self.errors += 1
                self._lost += batch.count(b"\n")
            if lock is not None:
                fcntl.lockf(lock, fcntl.LOCK_UN)
            self._finished += len(batch)
        self._use(None)

    def _use(self, descriptor: int | None) -> None:
        before, self._file = self._file, descriptor
        if before is not None:
            os.close(before)

    def _send(self, batch: bytes) -> None:
        target = self._target if self._file is None else self._file
        if not isinstance(target, int):
            target.write(batch)
            target.flush()
            return
        rest = memoryview(batch)
        while rest:
            try:
                # By itself: mypyc would write twice, to find out where the slice starts.
                written = os.write(target, rest)
                rest = rest[written:]
            except BlockingIOError:
                # Standard output may share a non-blocking terminal or pipe.
                poll = select.poll()
                poll.register(target, select.POLLOUT)
                poll.poll(_POLL_MS)


def open_file(path: str) -> int:
    """A descriptor that appends to a file, made if need be. Raises OSError, also for a named
    pipe that nobody reads, instead of waiting for somebody."""
    how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    return os.open(path, how, _FILE_MODE)
