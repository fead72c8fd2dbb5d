"""Messages between two processes of one instance, over a pair of UNIX sockets.

May live here: how a message and the descriptors in it travel. Must not live here: what
messages there are (`line`).

A message is any value that can be pickled. Sockets and `Descriptor`s in it arrive as open
sockets, which don't block, and descriptors of the receiver, who owns and closes them. Both
ends are this program, started one by the other, so what arrives is trusted as this process
trusts itself.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import io
import os
import pickle
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

_HEAD: Final = struct.Struct("!II")
_READ: Final = 256 * 1024
# The kernel takes 253 at once (SCM_MAX_FD).
_DESCRIPTORS_MAX: Final = 250
# A peer that takes nothing, as when it is stopped by a debugger, must not fill the memory.
_QUEUE_MAX: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Descriptor:
    """An open file in a message. number: the descriptor, of the process that looks at it."""

    number: int


class Channel:
    """One end of a connection to another process.

    receive: called with each message. lost: called once, when the other end is gone or
    can't be understood. `close` calls neither.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        receive: Callable[[Any], None],
        lost: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._receive = receive
        self._lost = lost
        self._incoming = bytearray()
        self._descriptors: deque[int] = deque()
        self._outgoing: deque[tuple[memoryview, list[int]]] = deque()
        self._queued = 0
        sock.setblocking(False)
        loop.add_reader(sock, self._readable)

    @property
    def closed(self) -> bool:
        """No more messages go or come."""
        return self._sock.fileno() < 0

    def send(self, message: Any) -> None:
        """Send a message; never waits. What can't be sent is lost together with the channel.

        Raises pickle.PicklingError or TypeError for what is no message.
        """
        data, descriptors = _pack(message)
        if self.closed:
            return
        # The sender may close its own before they have gone.
        self._outgoing.append((memoryview(data), [os.dup(number) for number in descriptors]))
        self._queued += len(data)
        if len(self._outgoing) == 1:
            self._writable()
        elif self._queued > _QUEUE_MAX:
            self._fail()

    def close(self) -> None:
        """Close this end."""
        if self.closed:
            return
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for number in self._descriptors:
            os.close(number)
        self._descriptors.clear()
        while self._outgoing:
            _close_all(self._outgoing.popleft()[1])

    def _fail(self) -> None:
        if not self.closed:
            self.close()
            self._lost()

    def _writable(self) -> None:
        while self._outgoing:
            data, descriptors = self._outgoing[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
            try:
                sent = self._sock.sendmsg([data], rights if descriptors else [])
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._writable)
                return
            except OSError:
                self._fail()
                return
            _close_all(descriptors)
            self._queued -= sent
            if sent < len(data):
                self._outgoing[0] = (data[sent:], [])
            else:
                self._outgoing.popleft()
        self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._sock, _READ, _DESCRIPTORS_MAX)
        except BlockingIOError:
            return
        except OSError:
            self._fail()
            return
        self._descriptors.extend(descriptors)
        if not data:
            self._fail()
            return
        self._incoming += data
        while not self.closed and len(self._incoming) >= _HEAD.size:
            length, count = _HEAD.unpack_from(self._incoming)
            end = _HEAD.size + length
            if len(self._incoming) < end:
                return
            packed = bytes(self._incoming[_HEAD.size : end])
            del self._incoming[:end]
            own = [self._descriptors.popleft() for _ in range(count)]
            self._receive(_Unpickler(io.BytesIO(packed), own).load())


def _pack(message: Any) -> tuple[bytes, list[int]]:
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    pickler.dump(message)
    packed = buffer.getvalue()
    if len(pickler.descriptors) > _DESCRIPTORS_MAX:
        raise TypeError(f"more than {_DESCRIPTORS_MAX} descriptors in one message")
    return _HEAD.pack(len(packed), len(pickler.descriptors)) + packed, pickler.descriptors


def _close_all(descriptors: list[int]) -> None:
    for number in descriptors:
        with contextlib.suppress(OSError):
            os.close(number)
    descriptors.clear()


class _Pickler(pickle.Pickler):
    """Takes sockets and descriptors out of a message, and notes their places."""

    def __init__(self, buffer: io.BytesIO) -> None:
        super().__init__(buffer, protocol=pickle.HIGHEST_PROTOCOL)
        self.descriptors: list[int] = []

    def persistent_id(self, value: Any) -> tuple[str, int] | None:
        if isinstance(value, socket.socket):
            self.descriptors.append(value.fileno())
            return "socket", len(self.descriptors) - 1
        if isinstance(value, Descriptor):
            self.descriptors.append(value.number)
            return "descriptor", len(self.descriptors) - 1
        return None


class _Unpickler(pickle.Unpickler):
    """Puts them back."""

    def __init__(self, buffer: io.BytesIO, descriptors: list[int]) -> None:
        super().__init__(buffer)
        self._descriptors = descriptors

    def persistent_load(self, pid: tuple[str, int]) -> socket.socket | Descriptor:
        kind, place = pid
        number = self._descriptors[place]
        if kind == "descriptor":
            return Descriptor(number)
        sock = socket.socket(fileno=number)
        sock.setblocking(False)
        return sock
