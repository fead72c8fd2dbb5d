"""Whether a connection goes on whose other end has closed its half."""

from __future__ import annotations

import asyncio

import pytest

from proxy.wire.half import half_open


class Wire(asyncio.Transport):
    """halves: the transport can close one of them. closing: both are."""

    def __init__(self, *, halves: bool, closing: bool) -> None:
        super().__init__()
        self._halves = halves
        self._closing = closing

    def can_write_eof(self) -> bool:
        return self._halves

    def is_closing(self) -> bool:
        return self._closing


@pytest.mark.parametrize(
    ("halves", "closing", "goes_on"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
def test_only_what_has_halves_goes_on(halves: bool, closing: bool, goes_on: bool) -> None:
    assert half_open(Wire(halves=halves, closing=closing)) is goes_on


def test_what_is_lost_does_not() -> None:
    assert not half_open(None)
