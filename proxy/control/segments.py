"""Memory that the workers of an instance share, by name.

    table = segments.open("limits/1", 8 * 1024 * 1024)      # mmap.mmap, zeroed when new

Whoever asks first makes it, all others get the same, and so does the replacement of a worker
that crashed, with what the one before left in it. It lasts until the instance ends; nothing
of it stands on any disk. With one process it is ordinary memory of that process.

May live here: who holds the memory and how it gets to the workers. Must not live here: what
is in it, or how writers keep out of each other's way.

A name carries the version of its layout (`limits/1`), since an upgrade hands segments on to
a process of another version. The same name with another size is another segment. `open`
blocks for the moment that the supervisor takes to answer, so it is for start and reload.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import mmap
import os
import socket
from collections.abc import Collection
from typing import Final, Protocol

SEGMENTS_MAX: Final = 64
"""Most segments of an instance."""
SIZE_MAX: Final = 4 * 1024 * 1024 * 1024
"""Most bytes of one."""

_MESSAGE_MAX: Final = 4096
# The supervisor serves no traffic; one that takes this long is gone or stopped.
_ANSWER_SECONDS: Final = 10.0


class SegmentError(Exception):
    """There is no such memory to be had; the text says why."""


class Segments(Protocol):
    """Where shared memory comes from."""

    def open(self, name: str, size: int) -> mmap.mmap:
        """The segment of this name and size in bytes. Raises SegmentError."""
        ...


class OwnSegments:
    """Of a process that shares with nobody."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], mmap.mmap] = {}

    def open(self, name: str, size: int) -> mmap.mmap:
        """The segment of this name and size."""
        _check(self._open, name, size)
        segment = self._open.get((name, size))
        if segment is None:
            segment = self._open[name, size] = mmap.mmap(-1, size)
        return segment


class HandedSegments:
    """Of a worker, which asks the supervisor. sock: its end of the pair that `Vault` serves."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._open: dict[tuple[str, int], mmap.mmap] = {}
        sock.settimeout(_ANSWER_SECONDS)

    def open(self, name: str, size: int) -> mmap.mmap:
        """The segment of this name and size."""
        segment = self._open.get((name, size))
        if segment is None:
            segment = self._open[name, size] = self._ask(name, size)
        return segment

    def _ask(self, name: str, size: int) -> mmap.mmap:
        try:
            self._sock.send(json.dumps([name, size]).encode())
            answer, descriptors, _, _ = socket.recv_fds(self._sock, _MESSAGE_MAX, 1)
        except OSError as error:
            raise SegmentError(f"{name}: the supervisor does not answer: {error}") from None
        if not descriptors:
            raise SegmentError(answer.decode("utf-8", "replace") or "the supervisor is gone")
        try:
            return mmap.mmap(descriptors[0], size)
        finally:
            os.close(descriptors[0])


class Vault:
    """The supervisor's side: holds the memory, and answers workers.

    descriptors: of the memory files by name and size, to be handed on at an upgrade.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.descriptors: dict[tuple[str, int], int] = {}

    def open(self, name: str, size: int) -> mmap.mmap:
        """The segment of this name and size, for the supervisor itself."""
        return mmap.mmap(self._descriptor(name, size), size)

    def serve(self, sock: socket.socket) -> None:
        """Answer a worker, until it is gone. sock: of a pair of type SOCK_SEQPACKET."""
        sock.setblocking(False)
        self._loop.add_reader(sock, self._answer, sock)

    def close(self) -> None:
        """Let go of the memory; whoever has it mapped keeps it."""
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.descriptors.clear()

    def _answer(self, sock: socket.socket) -> None:
        try:
            asked = sock.recv(_MESSAGE_MAX)
        except BlockingIOError:
            return
        except OSError:
            asked = b""
        if not asked:
            self._loop.remove_reader(sock)
            sock.close()
            return
        name, size = json.loads(asked)
        with contextlib.suppress(OSError):
            try:
                socket.send_fds(sock, [b"ok"], [self._descriptor(name, size)])
            except SegmentError as error:
                sock.send(str(error).encode())

    def _descriptor(self, name: str, size: int) -> int:
        descriptor = self.descriptors.get((name, size))
        if descriptor is None:
            _check(self.descriptors, name, size)
            try:
                descriptor = os.memfd_create(f"sidegate {name}", os.MFD_CLOEXEC)
                os.ftruncate(descriptor, size)
            except OSError as error:
                raise SegmentError(f"{name}: {size} bytes: {error.strerror}") from None
            self.descriptors[name, size] = descriptor
        return descriptor


def _check(known: Collection[tuple[str, int]], name: str, size: int) -> None:
    if not 0 < size <= SIZE_MAX:
        raise SegmentError(f"{name}: {size} bytes are no size of a segment")
    if len(known) >= SEGMENTS_MAX and (name, size) not in known:
        raise SegmentError(f"{name}: there are {SEGMENTS_MAX} segments already")
