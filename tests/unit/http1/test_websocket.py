"""Where WebSocket frames end, against a parser that has all bytes at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.websocket import GOING_AWAY, FrameTracker


def frame(size: int, form: int = 0, masked: bool = False, opcode: int = 0x82) -> bytes:
    """A frame; form: bytes of extended length, even where a shorter form would do."""
    mask = 0x80 if masked else 0
    if form == 8 or size > 0xFFFF:
        length = bytes([mask | 127]) + size.to_bytes(8, "big")
    elif form == 2 or size > 125:
        length = bytes([mask | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([mask | size])
    return bytes([opcode]) + length + (b"\xaa" * 4 if masked else b"") + b"\xff" * size


def ends_of(data: bytes) -> list[int]:
    """The index after each frame that ends in these bytes, read naively."""
    ends = []
    position = 0
    while position + 2 <= len(data):
        length = data[position + 1] & 0x7F
        after = position + 2
        if length == 126:
            length, after = int.from_bytes(data[after : after + 2], "big"), after + 2
        elif length == 127:
            length, after = int.from_bytes(data[after : after + 8], "big"), after + 8
        if data[position + 1] & 0x80:
            after += 4
        position = after + length
        if position > len(data):
            break
        ends.append(position)
    return ends


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("size", "form"),
    [(0, 0), (1, 0), (125, 0), (126, 2), (65535, 2), (65536, 8), (0, 2), (0, 8), (5, 8)],
)
def test_a_frame_ends_where_its_length_says(size: int, form: int, masked: bool) -> None:
    whole = frame(size, form, masked)
    tracker = FrameTracker()
    assert tracker.feed(whole[:-1]) == -1
    assert not tracker.between
    assert tracker.feed(whole[-1:]) == 1
    assert tracker.between


def test_a_stream_begins_between_two_frames() -> None:
    assert FrameTracker().between


def test_bytes_of_a_huge_frame_are_counted_and_not_kept() -> None:
    tracker = FrameTracker()
    tracker.feed(b"\x82\x7f" + (2**63 - 1).to_bytes(8, "big"))
    for _ in range(100):
        assert tracker.feed(bytes(1 << 20)) == -1
    assert not tracker.between


def test_going_away_is_one_frame_that_says_1001() -> None:
    assert ends_of(GOING_AWAY) == [len(GOING_AWAY)]
    assert GOING_AWAY[:2] == b"\x88\x02"
    assert int.from_bytes(GOING_AWAY[2:], "big") == 1001


FRAMES = st.builds(
    frame,
    st.integers(0, 200),
    st.sampled_from([0, 2, 8]),
    st.booleans(),
    st.sampled_from([0x01, 0x80, 0x81, 0x82, 0x89]),
)


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(0, 900), max_size=12))
def test_any_stream_in_any_pieces_agrees_with_a_naive_reader(
    frames: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(frames)
    ends = ends_of(data)
    tracker = FrameTracker()
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for begin, end in pairwise(edges):
        within = [place - begin for place in ends if begin < place <= end]
        assert tracker.feed(data[begin:end]) == (within[0] if within else -1)
        assert tracker.between is (end == 0 or end in ends)


def test_a_flood_of_tiny_frames_is_not_followed() -> None:
    tracker = FrameTracker()
    assert tracker.feed(b"\x89\x00" * 5000) == 2
    assert not tracker.between
    assert tracker.feed(b"\x89\x00") == -1
