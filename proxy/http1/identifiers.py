"""Identifiers for requests and traces, cut from a pool of random digits.

One call of the random source serves hundreds of identifiers, since a system call for each
would cost more than the rest of the work. They are unique, not secret. Clock and random
source are handed in; a pool fills at its first use, so that processes forked before it
don't share digits. Pure otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_POOL_BYTES: Final = 4096
# The variant's two bits, 10, before the two low bits of a random digit (RFC 9562, 4.1).
_VARIANT: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


class HexPool:
    """Random hexadecimal digits, lower case. random: returns so many random bytes."""

    __slots__ = ("_at", "_digits", "_random")

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._digits = ""
        self._at = 0

    def take(self, count: int) -> str:
        """`count` digits, at most 8192, none of them handed out before."""
        at = self._at
        end = at + count
        if end > len(self._digits):
            self._digits = self._random(_POOL_BYTES).hex()
            at, end = 0, count
        self._at = end
        return self._digits[at:end]


class Uuid7:
    """UUIDs of version 7 (RFC 9562, 5.7): they sort by the millisecond they were made in.

    wall: seconds since 1970. Within a millisecond their order is random.
    """

    __slots__ = ("_ends", "_millisecond", "_random", "_start", "_wall")

    def __init__(self, wall: Callable[[], float], random: Callable[[int], bytes]) -> None:
        self._wall = wall
        self._random = random
        self._millisecond = -1
        self._start = ""
        # What follows the time, written for many at once.
        self._ends: list[str] = []

    def __call__(self) -> str:
        """A new one, as 36 characters."""
        if not self._ends:
            self._write_ends()
        now = int(self._wall() * 1000)
        if now != self._millisecond:
            self._millisecond = now
            stamp = f"{now:012x}"
            self._start = f"{stamp[:8]}-{stamp[8:]}-7"
        return self._start + self._ends.pop()

    def _write_ends(self) -> None:
        digits = self._random(_POOL_BYTES).hex()
        self._ends = [
            f"{digits[at : at + 3]}-{_VARIANT[digits[at + 3]]}{digits[at + 4 : at + 7]}-"
            f"{digits[at + 7 : at + 19]}"
            for at in range(0, len(digits) - 18, 19)
        ]
