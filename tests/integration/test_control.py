"""Messages, questions and memory between processes, over real pairs of sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.control.channel import Channel, Descriptor
from proxy.control.line import Line, Unanswered
from proxy.control.segments import (
    SEGMENTS_MAX,
    SIZE_MAX,
    HandedSegments,
    OwnSegments,
    SegmentError,
    Segments,
    Vault,
)
from tests.integration.client import until


class End:
    """One end of a channel, with what came."""

    def __init__(self, sock: socket.socket) -> None:
        self.received: list[Any] = []
        self.lost = 0
        loop = asyncio.get_running_loop()
        self.channel = Channel(loop, sock, self.received.append, self._cut)

    def _cut(self) -> None:
        self.lost += 1


@contextlib.contextmanager
def channels() -> Iterator[tuple[End, End]]:
    one, other = map(End, socket.socketpair())
    try:
        yield one, other
    finally:
        one.channel.close()
        other.channel.close()


@contextlib.contextmanager
def lines() -> Iterator[tuple[Line, Line, list[str]]]:
    loop, lost = asyncio.get_running_loop(), list[str]()
    ours, theirs = socket.socketpair()
    one = Line(loop, ours, lambda: lost.append("one"))
    other = Line(loop, theirs, lambda: lost.append("other"))
    try:
        yield one, other, lost
    finally:
        one.close()
        other.close()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_messages_come_whole_and_in_order() -> None:
    """Also those that are larger than what the kernel takes at once."""
    with channels() as (one, other):
        messages = ["small", b"x" * 3_000_000, {"a": [1, 2]}, b"", None]
        for message in messages:
            one.channel.send(message)
        await until(lambda: len(other.received) == len(messages))
        assert other.received == messages


async def test_descriptors_and_sockets_arrive_open(tmp_path: Path) -> None:
    with channels() as (one, other):
        before = open_descriptors()
        file = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
        here, there = socket.socketpair()
        # Behind something that fills the socket, so that they have to wait.
        one.channel.send(b"x" * 1_000_000)
        one.channel.send({"file": Descriptor(file), "sockets": (there,)})
        os.write(file, b"written by the sender")
        os.close(file)
        there.close()
        await until(lambda: len(other.received) == 2)
        message = other.received[1]
        assert os.pread(message["file"].number, 100, 0) == b"written by the sender"
        [handed] = message["sockets"]
        handed.send(b"hello")
        assert here.recv(10) == b"hello"
        os.close(message["file"].number)
        handed.close()
        here.close()
        assert open_descriptors() == before


async def test_each_end_notices_that_the_other_is_gone() -> None:
    with channels() as (one, other):
        one.channel.close()
        await until(lambda: other.lost == 1)
        other.channel.send("into the void")
        assert (one.lost, other.lost) == (0, 1)


async def test_a_peer_that_takes_nothing_does_not_fill_the_memory() -> None:
    ours, theirs = socket.socketpair()
    end = End(ours)
    with theirs:
        while not end.lost:
            end.channel.send(b"x" * 8_000_000)
            assert len(end.received) == 0
        assert end.channel.closed


async def test_questions_are_answered() -> None:
    with lines() as (one, other, _):

        async def slowly(argument: int) -> int:
            await asyncio.sleep(0.01)
            return argument * 2

        other.on("double", slowly)
        other.on("negate", lambda argument: -argument)
        answers = await asyncio.gather(one.ask("double", 21), one.ask("negate", 4))
        assert list(answers) == [42, -4]


@pytest.mark.parametrize("known", [True, False])
async def test_a_question_that_fails_says_so(known: bool) -> None:
    with lines() as (one, other, _):

        def fail(_: object) -> None:
            raise ValueError("of no use")

        async def fail_later(_: object) -> None:
            fail(_)

        if known:
            other.on("fail", fail)
            other.on("fail_later", fail_later)
        for name in ("fail", "fail_later"):
            with pytest.raises(Unanswered, match="of no use" if known else "KeyError"):
                await one.ask(name)


async def test_an_answer_that_can_not_be_sent_is_a_failure() -> None:
    with lines() as (one, other, _):
        other.on("lambda", lambda _: lambda: None)
        with pytest.raises(Unanswered, match="lambda"):
            await one.ask("lambda")


async def test_an_answer_that_does_not_come() -> None:
    with lines() as (one, other, _):

        async def never(_: object) -> None:
            await asyncio.Event().wait()

        other.on("never", never)
        with pytest.raises(Unanswered, match=r"no answer within 0\.05 s"):
            await one.ask("never", seconds=0.05)
        waiting = asyncio.ensure_future(one.ask("never"))
        await asyncio.sleep(0.01)
        other.close()
        with pytest.raises(Unanswered, match="gone"):
            await waiting
        with pytest.raises(Unanswered, match="gone"):
            await one.ask("never")


async def test_notices_are_taken_in_order() -> None:
    with lines() as (one, other, lost):
        taken: list[int] = []
        other.on("notice", taken.append)
        for number in range(100):
            one.tell("notice", number)
        await until(lambda: len(taken) == 100)
        assert taken == list(range(100))
        other.close()
        await until(lambda: lost == ["one"])


async def test_a_notice_that_is_not_understood_is_reported() -> None:
    reported: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context["message"]))
    with lines() as (one, _, _):
        one.tell("unheard of")
        await until(lambda: reported)
    assert reported == ["the notice 'unheard of' was not understood"]


@contextlib.contextmanager
def handed(vault: Vault) -> Iterator[HandedSegments]:
    """Segments of another worker."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    vault.serve(ours)
    with theirs:
        yield HandedSegments(theirs)


async def opened(segments: Segments, name: str, size: int) -> Any:
    """Beside the loop, which answers in this test."""
    return await asyncio.to_thread(segments.open, name, size)


async def test_workers_share_memory_that_outlives_them() -> None:
    vault = Vault(asyncio.get_running_loop())
    with handed(vault) as first, handed(vault) as second:
        mine, theirs = await opened(first, "a/1", 4096), await opened(second, "a/1", 4096)
        other, larger = await opened(first, "b/1", 4096), await opened(first, "a/1", 8192)
        assert mine is await opened(first, "a/1", 4096)
        mine[:5] = b"hello"
        assert (theirs[:5], other[:5], larger[:5]) == (b"hello", bytes(5), bytes(5))
    mine.close()
    with handed(vault) as replacement:
        assert (await opened(replacement, "a/1", 4096))[:5] == b"hello"
    vault.close()
    assert theirs[:5] == b"hello"


async def test_memory_is_bounded_and_a_refusal_says_why() -> None:
    vault = Vault(asyncio.get_running_loop())
    with handed(vault) as segments:
        for own in (segments, OwnSegments()):
            for size in (0, -1, SIZE_MAX + 1):
                with pytest.raises(SegmentError, match="no size"):
                    await opened(own, "a", size)
            for number in range(SEGMENTS_MAX):
                await opened(own, f"a{number}", 4096)
            with pytest.raises(SegmentError, match=f"{SEGMENTS_MAX} segments"):
                await opened(own, "one too many", 4096)
    vault.close()


async def test_no_supervisor_no_memory() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    with theirs, pytest.raises(SegmentError, match="supervisor"):
        HandedSegments(theirs).open("a", 4096)
