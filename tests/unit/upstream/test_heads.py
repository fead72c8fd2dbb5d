"""Response heads out of bytes, whichever way those are cut."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import GatewayError
from proxy.http1.headers import Headers
from proxy.upstream.heads import MAX_HEAD, MAX_INTERIM, Heads
from tests.unit.paused_loop import PausedLoop

LOOP = PausedLoop()
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n\r\n"


@pytest.fixture(scope="module", autouse=True)
def _loop() -> Iterator[None]:
    yield
    LOOP.close()


class Reading:
    """Heads that are read as their bytes come. told: interim responses."""

    def __init__(self) -> None:
        self.heads = Heads(LOOP)
        self.heads.begin()
        self.told: list[tuple[int, str | None]] = []

    def interim(self, status: int, headers: Headers) -> None:
        self.told.append((status, headers.get("link")))

    def feed(self, data: bytes) -> tuple[int, list[tuple[str, str]], bytes] | None:
        self.heads.data += data
        read = self.heads.read("GET", self.interim)
        return None if read is None else (read[0].status, list(read[0].headers.items()), read[1])


@given(st.sets(st.integers(1, len(HINTS * 2 + HEAD) - 1), max_size=8))
def test_heads_are_the_same_however_they_are_cut(cuts: set[int]) -> None:
    raw = HINTS * 2 + HEAD
    reading = Reading()
    edges = [0, *sorted(cuts), len(raw)]
    pieces = [raw[begin:end] for begin, end in pairwise(edges)]
    for piece in pieces[:-1]:
        assert reading.feed(piece) is None
    assert reading.feed(pieces[-1] + b"hi") == (200, [("x-a", "1")], b"hi")
    assert reading.told == [(103, "</a>")] * 2
    assert reading.heads.interims == 2


def test_the_next_request_begins_anew() -> None:
    reading = Reading()
    assert reading.feed(HINTS + HEAD[:20]) is None
    reading.heads.begin()
    assert reading.heads.interims == 0
    assert reading.feed(HEAD) == (200, [("x-a", "1")], b"")


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD, "head too large"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD + b"\r\n\r\n", "head too large"),
        (HINTS * (MAX_INTERIM + 1), "interim responses"),
        (b"HTTP/1.1 200 OK\nX: a\r\n\r\n", "control characters or bare line ends"),
    ],
)
def test_what_is_too_much_or_no_head_is_refused(raw: bytes, cause: str) -> None:
    with pytest.raises(GatewayError) as refusal:
        Reading().feed(raw)
    assert (refusal.value.code, refusal.value.cause) == ("upstream_invalid", cause)


def test_as_many_interim_responses_as_allowed_pass() -> None:
    reading = Reading()
    assert reading.feed(HINTS * MAX_INTERIM + HEAD) is not None
    assert len(reading.told) == MAX_INTERIM


def test_heads_that_come_again_say_the_same_each_time() -> None:
    reading = Reading()
    for _ in range(4):
        reading.heads.begin()
        assert reading.feed(HINTS + HEAD + b"hi") == (200, [("x-a", "1")], b"hi")
    assert reading.told == [(103, "</a>")] * 4


def test_a_head_that_came_again_has_no_body_for_head_requests() -> None:
    heads = Heads(LOOP)
    for method in ("GET", "GET", "GET", "HEAD", "HEAD", "GET"):
        heads.begin()
        heads.data = HEAD
        read = heads.read(method, Reading().interim)
        assert read is not None
        assert (read[0].framing, read[0].length) == (0 if method == "HEAD" else 2, 2)
