"""Where WebSocket frames end (RFC 6455, 5.2), so that a close frame can be put between two.

Sidegate passes frames on without reading them; only on shutdown it speaks a frame itself,
and in the middle of another's that would corrupt the stream. Pure.
"""

from __future__ import annotations

from typing import Final

GOING_AWAY: Final = b"\x88\x02\x03\xe9"
"""An unmasked close frame with code 1001, as a server sends it (7.4.1)."""


# A frame costs a microsecond to follow. More of them in one read are a flood, which would
# hold up the loop; the stream is then passed on without being followed.
_MAX_FRAMES: Final = 4096


class FrameTracker:
    """Follows a stream of frames, unless it is a flood of tiny ones."""

    __slots__ = ("_header", "_lost", "_payload")

    def __init__(self) -> None:
        self._header = b""
        self._payload = 0
        self._lost = False

    @property
    def between(self) -> bool:
        """The bytes so far end where a frame ends."""
        return self._payload == 0 and not self._header and not self._lost

    def feed(self, data: bytes) -> int:
        """Follow these bytes; the index just after the first frame that ends in them, or -1."""
        position = 0
        first = -1
        size = len(data)
        frames = 0
        while position < size and not self._lost:
            if self._payload:
                step = min(self._payload, size - position)
                self._payload -= step
                position += step
            else:
                position = self._read_header(data, position)
                frames += 1
                self._lost = frames > _MAX_FRAMES
            if first < 0 and self.between:
                first = position
        return first

    def _read_header(self, data: bytes, position: int) -> int:
        wanted = self._missing()
        taken = data[position : position + wanted]
        self._header += taken
        if self._missing() == 0:
            self._payload = _payload_length(self._header)
            self._header = b""
        return position + len(taken)

    def _missing(self) -> int:
        header = self._header
        if len(header) < 2:
            return 2 - len(header)
        length = header[1] & 0x7F
        extended = 2 if length == 126 else 8 if length == 127 else 0
        return 2 + extended + (4 if header[1] & 0x80 else 0) - len(header)


def _payload_length(header: bytes) -> int:
    length = header[1] & 0x7F
    if length == 126:
        return int.from_bytes(header[2:4], "big")
    if length == 127:
        return int.from_bytes(header[2:10], "big")
    return length
