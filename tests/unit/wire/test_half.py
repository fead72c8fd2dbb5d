"""Whether a connection goes on of which one end has closed its half."""

from __future__ import annotations

import asyncio

import pytest

from proxy.wire.half import end_half, half_open


class Wire(asyncio.Transport):
    """halves: the transport can close one of them. closing: both are. gone: the other end is.
    ended: one half is closed."""

    def __init__(self, *, halves: bool = True, closing: bool = False, gone: bool = False) -> None:
        super().__init__()
        self._halves = halves
        self._closing = closing
        self._gone = gone
        self.ended = False

    def can_write_eof(self) -> bool:
        return self._halves

    def write_eof(self) -> None:
        if self._gone:
            raise OSError(107, "Transport endpoint is not connected")
        self.ended = True

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


@pytest.mark.parametrize(
    ("wire", "ends"),
    [
        pytest.param(Wire(), True, id="the other end is there"),
        pytest.param(Wire(gone=True), False, id="it is gone"),
        pytest.param(Wire(halves=False), False, id="there are no halves"),
    ],
)
def test_a_half_is_closed_where_that_can_be(wire: Wire, ends: bool) -> None:
    assert end_half(wire) is ends
    assert wire.ended is ends
