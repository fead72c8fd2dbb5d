"""Bodies that the kernel carries from one socket to another, past this process: splice(2).

What a socket has received goes into a pipe, and from there to another socket, by reference: the
bytes are neither copied nor seen. May live here: how they are carried, and what happens when an
end has to be waited for. Must not live here: whose bodies may be.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
from collections.abc import Callable
from typing import Any, Final, NamedTuple

LEAST: Final = 1024 * 1024
"""Bytes below which its preparations take as much as they save; of 10 MiB they save a third."""

# As many pages as a pipe can refer to; the kernel's own default is a quarter.
_PIPE: Final = 256 * 1024
# What is carried in one go, before others have their turn.
_ROUNDS: Final = 4
# Each takes four descriptors while it lasts.
_MOST: Final = 256
_SHARE: Final = 16
# Pipes that nobody uses, after a crowd has gone.
_KEPT: Final = 16


def is_plain(transport: asyncio.Transport) -> bool:
    """Its bytes are those on the wire."""
    return (
        transport.get_extra_info("sslcontext") is None
        and transport.get_extra_info("socket") is not None
    )


class Source(NamedTuple):
    """Where a body comes from that may be carried. passed: called with how many bytes have gone
    by, and whether no more can before the other end takes them.
    """

    transport: asyncio.Transport
    passed: Callable[[int, bool], None]


class Pipes:
    """The pipes of one event loop, and how many bodies may be carried at once."""

    def __init__(self) -> None:
        self._free: list[tuple[int, int]] = []
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._left = _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft // _SHARE)
        if not hasattr(os, "splice"):
            self._left = 0

    def _take(self) -> tuple[int, int] | None:
        """An empty pipe, its end to read first; None when there are no more to be had."""
        if not self._left:
            return None
        if self._free:
            self._left -= 1
            return self._free.pop()
        try:
            pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with contextlib.suppress(OSError):
            # More than an unprivileged user may have of them stay small, and work.
            fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, _PIPE)
        self._left -= 1
        return pipe

    def open(
        self, loop: asyncio.AbstractEventLoop, source: Source, sink: asyncio.Transport, size: int
    ) -> Passage | None:
        """A way for `size` bytes to a transport that has nothing to send; None if there is none."""
        pipe = self._take() if size else None
        if pipe is None:
            return None
        try:
            return Passage(loop, self, pipe, source, sink, size)
        except OSError:
            self.give(pipe, empty=True)
            return None

    def give(self, pipe: tuple[int, int], empty: bool) -> None:
        """Take it back."""
        self._left += 1
        if empty and len(self._free) < _KEPT:
            self._free.append(pipe)
        else:
            _close(pipe)

    def close(self) -> None:
        """Close those that nobody uses."""
        while self._free:
            _close(self._free.pop())


class Passage:
    """A body on its way past this process. gone: bytes that have left. done: to be waited for;
    whatever comes of it, `end` has to be called.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pipes: Pipes,
        pipe: tuple[int, int],
        source: Source,
        sink: asyncio.Transport,
        size: int,
    ) -> None:
        self._loop = loop
        self._pipes = pipes
        self._pipe = pipe
        self._source = source
        self._protocol: Any = sink.get_protocol()
        self._left = size
        self._held = 0
        self._blocked = False
        self.gone = 0
        self.done: asyncio.Future[None] = loop.create_future()
        # The loop watches a socket for one owner only, and that is its transport.
        self._from = os.dup(source.transport.get_extra_info("socket").fileno())
        try:
            self._to = os.dup(sink.get_extra_info("socket").fileno())
        except OSError:
            os.close(self._from)
            raise
        loop.add_reader(self._from, self._move)
        # The source has to send on from now, in its time.
        source.passed(0, False)

    def end(self) -> bytes:
        """Carry no more; bytes that were received and haven't gone."""
        self._loop.remove_reader(self._from)
        self._loop.remove_writer(self._to)
        os.close(self._from)
        os.close(self._to)
        if self._blocked:
            self._protocol.resume_writing()
        rest = b""
        try:
            while len(rest) < self._held:
                rest += os.read(self._pipe[0], self._held - len(rest))
        finally:
            self._pipes.give(self._pipe, empty=len(rest) == self._held)
        if rest:
            self._source.passed(len(rest), False)
        return rest

    def _move(self) -> None:
        """Carry on until one end has to be waited for."""
        gone, more, over, blocked = 0, False, False, False
        for _ in range(_ROUNDS):
            try:
                if not self._held:
                    wanted = min(self._left, _PIPE)
                    got = os.splice(self._from, self._pipe[1], wanted, flags=os.SPLICE_F_NONBLOCK)
                    self._held, self._left = got, self._left - got
                    # The kernel may wait for more before it sends a segment that isn't full.
                    more = got == wanted and self._left > 0
                    if not got:
                        over = True
                        break
            except BlockingIOError:
                break
            except OSError:
                # The source's transport will meet it, or the end that it is followed by.
                over = True
                break
            flags = os.SPLICE_F_NONBLOCK | (os.SPLICE_F_MORE if more else 0)
            try:
                size = os.splice(self._pipe[0], self._to, self._held, flags=flags)
            except BlockingIOError:
                blocked = True
                break
            except OSError:
                # So will the other one.
                over = True
                break
            self._held -= size
            gone += size
            if not self._held and not self._left:
                over = True
                break
        self.gone += gone
        # What is left in the pipe when this has taken long enough: the source may have no more.
        blocked = blocked or (bool(self._held) and not over)
        if blocked != self._blocked:
            self._block(blocked)
        self._source.passed(gone, blocked)
        if over and not self.done.done():
            self.done.set_result(None)

    def _block(self, blocked: bool) -> None:
        """Wait for the other end instead."""
        self._blocked = blocked
        if blocked:
            self._loop.remove_reader(self._from)
            self._loop.add_writer(self._to, self._move)
            self._protocol.pause_writing()
        else:
            self._loop.remove_writer(self._to)
            self._loop.add_reader(self._from, self._move)
            self._protocol.resume_writing()


def _close(pipe: tuple[int, int]) -> None:
    for end in pipe:
        os.close(end)
