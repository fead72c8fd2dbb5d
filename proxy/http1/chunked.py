"""Decoding and encoding of the chunked transfer coding (RFC 9112, 7.1).

A state machine over bytes, with one method for each state; it does no I/O. Strict where
leniency smuggles: line ends are CRLF, sizes are plain hexadecimal, and framing may not
outweigh the data. Extensions and trailers are read, bounded and dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

LAST_CHUNK: Final = b"0\r\n\r\n"
_SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?", re.DOTALL
).fullmatch
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*").fullmatch
_MAX_LINE: Final = 4096
_MAX_TRAILERS: Final = 16 * 1024
# One-byte chunks cost five bytes of framing for each byte of data; more is no honest sender.
_FREE_OVERHEAD: Final = 16 * 1024
_OVERHEAD_PER_BYTE: Final = 8


class ChunkedError(ValueError):
    """The coding is malformed, or its framing outweighs its data."""


def encode_chunk(data: bytes) -> bytes:
    """One chunk of non-empty data."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class ChunkedDecoder:
    """Takes the bytes of a chunked body and gives its data.

    padded: accept spaces after a chunk size, as some servers pad it (responses only).
    """

    __slots__ = ("_data", "_overhead", "_padded", "_partial", "_remaining", "_state", "_trailers")

    def __init__(self, *, padded: bool = False) -> None:
        self._padded = padded
        self._partial = b""
        self._remaining = 0
        self._data = 0
        self._overhead = 0
        self._trailers = 0
        self._state: Callable[[bytes, int, list[bytes]], int] | None = self._size

    @property
    def finished(self) -> bool:
        """The last chunk and its trailers have been read."""
        return self._state is None

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The data in these bytes, and what follows the body once it is finished.

        Raises ChunkedError.
        """
        if self._partial:
            data = self._partial + data
            self._partial = b""
        pieces: list[bytes] = []
        position = 0
        while self._state is not None and position < len(data):
            after = self._state(data, position, pieces)
            if after < 0:
                self._partial = data[position:]
                return pieces, b""
            position = after
        if self._overhead > _FREE_OVERHEAD + _OVERHEAD_PER_BYTE * self._data:
            raise ChunkedError("more framing than data")
        return pieces, data[position:]

    def _size(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        end = _line_end(data, position)
        if end < 0:
            return -1
        line = data[position:end]
        match = _SIZE_LINE(line.rstrip(b" \t") if self._padded else line)
        if match is None:
            raise ChunkedError("malformed chunk size")
        self._overhead += end - position + 4
        self._remaining = int(match[1], 16)
        self._state = self._bytes if self._remaining else self._trailer
        return end + 2

    def _bytes(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        end = min(position + self._remaining, len(data))
        piece = data[position:end]
        pieces.append(piece)
        self._data += len(piece)
        self._remaining -= len(piece)
        if self._remaining == 0:
            self._state = self._bytes_end
        return end

    def _bytes_end(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        mark = data[position : position + 2]
        if mark == b"\r\n":
            self._state = self._size
            return position + 2
        if mark == b"\r":
            return -1
        raise ChunkedError("a chunk does not end where its size says")

    def _trailer(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        end = _line_end(data, position)
        if end < 0:
            return -1
        if end == position:
            self._state = None
            return end + 2
        if _TRAILER(data[position:end]) is None:
            raise ChunkedError("malformed trailer field")
        self._trailers += end - position
        if self._trailers > _MAX_TRAILERS:
            raise ChunkedError("trailer fields too large")
        return end + 2


def _line_end(data: bytes, position: int) -> int:
    end = data.find(b"\r\n", position, position + _MAX_LINE)
    if end < 0:
        if len(data) - position >= _MAX_LINE:
            raise ChunkedError("line too long")
        if b"\n" in data[position:]:
            raise ChunkedError("bare line feed")
    return end
