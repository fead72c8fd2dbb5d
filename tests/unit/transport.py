"""A transport without a socket: a record of what was done to it."""

from __future__ import annotations

import asyncio


class Wire(asyncio.Transport):
    """As strict as a real one about writing after the end. data: all that was written.
    unsent: bytes of it that the other end hasn't taken. gone: the other end is, which is not
    told yet.
    """

    def __init__(self, half_close: bool = True) -> None:
        super().__init__()
        self.data = b""
        self.paused = False
        self.ended = False
        self.closed = False
        self.aborted = False
        self.unsent = 0
        self.gone = False
        self._half_close = half_close

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        self.data += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def can_write_eof(self) -> bool:
        return self._half_close

    def write_eof(self) -> None:
        if not self._half_close:
            raise NotImplementedError
        if self.gone:
            raise OSError(107, "Transport endpoint is not connected")
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True

    def abort(self) -> None:
        self.aborted = self.closed = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
