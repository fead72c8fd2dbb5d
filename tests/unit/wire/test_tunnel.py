"""Two transports joined, each a record of what was done to it; time stands still."""

from __future__ import annotations

import pytest

from proxy.http1.websocket import GOING_AWAY
from proxy.wire.deadlines import NEVER, Deadlines
from proxy.wire.tunnel import CLOSE_GRACE, Tunnel
from tests.unit.transport import Wire

FRAME = b"\x82\x05hello"


class Story:
    """A tunnel with an idle time of ten seconds."""

    def __init__(self, half_close: bool = True) -> None:
        self.now = 100.0
        self.client = Wire(half_close)
        self.upstream = Wire(half_close)
        self.deadlines = Deadlines(lambda: self.now)
        self.ends = 0
        self.tunnel = Tunnel(
            self.client, self.upstream, self.deadlines, lambda: self.now, 10.0, self._closed
        )

    def _closed(self) -> None:
        self.ends += 1

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.deadlines.sweep()

    def over(self, reason: str) -> bool:
        """It ended for this reason, once, and left nothing behind."""
        return (
            self.client.closed
            and self.upstream.closed
            and self.ends == 1
            and self.tunnel.reason == reason
            and self.tunnel.deadline == NEVER
            and len(self.deadlines) == 0
        )

    @property
    def open(self) -> bool:
        return not (self.client.closed or self.upstream.closed or self.ends)


def test_bytes_pass_unread_both_ways_and_are_counted() -> None:
    story = Story()
    story.tunnel.from_client(b"\x00\xff")
    story.tunnel.from_upstream(b"any")
    story.tunnel.from_client(b"thing")
    assert story.upstream.data == b"\x00\xffthing"
    assert story.client.data == b"any"
    assert (story.tunnel.received, story.tunnel.sent) == (7, 3)


def test_a_side_that_takes_no_more_stops_the_other() -> None:
    story = Story()
    story.tunnel.client_full(True)
    assert (story.client.paused, story.upstream.paused) == (False, True)
    story.tunnel.client_full(False)
    story.tunnel.upstream_full(True)
    assert (story.client.paused, story.upstream.paused) == (True, False)
    story.tunnel.upstream_full(False)
    assert (story.client.paused, story.upstream.paused) == (False, False)


@pytest.mark.parametrize("side", ["client", "upstream"])
def test_half_a_close_passes_and_the_other_half_goes_on(side: str) -> None:
    story = Story()
    if side == "client":
        story.tunnel.client_ended()
        assert story.upstream.ended
        assert story.open
        story.tunnel.from_upstream(b"still")
        assert story.client.data == b"still"
        story.tunnel.upstream_ended()
    else:
        story.tunnel.upstream_ended()
        assert story.client.ended
        assert story.open
        story.tunnel.from_client(b"still")
        assert story.upstream.data == b"still"
        story.tunnel.client_ended()
    assert story.over("upstream_closed" if side == "client" else "client_closed")


@pytest.mark.parametrize("side", ["client", "upstream"])
def test_where_a_half_close_is_impossible_it_is_a_whole_one(side: str) -> None:
    story = Story(half_close=False)
    if side == "client":
        story.tunnel.client_ended()
    else:
        story.tunnel.upstream_ended()
    assert story.over(f"{side}_closed")


def test_half_a_close_of_what_is_gone_is_a_whole_one() -> None:
    story = Story()
    story.upstream.gone = True
    story.tunnel.client_ended()
    assert story.over("client_closed")


def test_a_lost_side_ends_both_and_later_bytes_go_nowhere() -> None:
    story = Story()
    story.tunnel.lost("draining")
    assert story.over("draining")
    story.tunnel.from_client(b"x")
    story.tunnel.from_upstream(b"x")
    story.tunnel.client_ended()
    story.tunnel.upstream_ended()
    story.tunnel.client_full(True)
    story.tunnel.upstream_full(True)
    story.tunnel.shut_down()
    story.tunnel.lost("client_closed")
    story.tunnel.lost("upstream_closed")
    assert story.over("draining")
    assert story.client.data == story.upstream.data == b""


def test_an_idle_tunnel_is_closed_and_traffic_either_way_keeps_it_open() -> None:
    story = Story()
    story.later(9.9)
    story.tunnel.from_client(b"x")
    story.later(9.9)
    story.tunnel.from_upstream(b"x")
    story.later(9.9)
    assert story.open
    story.later(0.1)
    assert story.over("idle_timeout")


@pytest.mark.parametrize("side", ["client", "upstream"])
def test_what_nobody_reads_does_not_keep_an_ended_tunnel_open(side: str) -> None:
    """A transport that closes waits for its last bytes to go, and these never do."""
    story = Story()
    slow = story.client if side == "client" else story.upstream
    slow.unsent = 1
    story.later(10.0)
    assert (story.ends, story.tunnel.reason) == (1, "idle_timeout")
    # It has as long again to take the rest.
    assert (slow.closed, slow.aborted) == (True, False)
    story.later(10.0)
    assert (slow.closed, slow.aborted) == (True, True)
    assert (story.ends, len(story.deadlines)) == (1, 0)


def test_a_shutdown_between_two_frames_says_so_at_once() -> None:
    story = Story()
    story.tunnel.from_upstream(FRAME)
    story.tunnel.shut_down()
    assert story.client.data == FRAME + GOING_AWAY
    assert story.open, "the client has a moment to answer"


def test_a_shutdown_within_a_frame_waits_for_its_end() -> None:
    story = Story()
    story.tunnel.from_upstream(FRAME[:3])
    story.tunnel.shut_down()
    story.tunnel.shut_down()
    assert story.client.data == FRAME[:3]
    story.tunnel.from_upstream(FRAME[3:] + FRAME)
    assert story.client.data == FRAME + GOING_AWAY
    assert story.tunnel.sent == len(FRAME)
    story.tunnel.from_upstream(FRAME)
    assert story.client.data == FRAME + GOING_AWAY, "nothing may follow a close frame"


def test_the_client_s_answer_reaches_the_upstream() -> None:
    story = Story()
    story.tunnel.shut_down()
    story.tunnel.from_client(b"\x88\x82mask\x00\x00")
    assert story.upstream.data == b"\x88\x82mask\x00\x00"
    story.tunnel.lost("client_closed")
    assert story.over("client_closed")


@pytest.mark.parametrize("frames", [FRAME, FRAME[:3]], ids=["between", "within a frame"])
def test_a_client_that_ignores_the_close_is_cut_off_after_a_grace(frames: bytes) -> None:
    story = Story()
    story.tunnel.from_upstream(frames)
    story.tunnel.shut_down()
    story.later(CLOSE_GRACE / 2)
    story.tunnel.from_client(b"still talking")
    assert story.open
    story.later(CLOSE_GRACE / 2)
    assert story.over("draining")


@pytest.mark.parametrize("frames", [b"", FRAME, FRAME[:3]])
def test_a_shutdown_after_the_upstream_ended_says_nothing_more(frames: bytes) -> None:
    """Its end was passed on, and nothing can be written after it."""
    story = Story()
    story.tunnel.from_upstream(frames)
    story.tunnel.upstream_ended()
    story.tunnel.shut_down()
    assert story.client.data == frames
    story.later(CLOSE_GRACE)
    assert story.over("draining")
