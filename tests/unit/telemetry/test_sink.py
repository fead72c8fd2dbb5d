"""Lines leave in order, in batches, and never at the cost of whoever writes them."""

from __future__ import annotations

import gc
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.telemetry.sink import Sink


class Pipe:
    """A pipe with a sink at its writing end."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.sinks: list[Sink] = []

    def sink(self, limit_bytes: int = 4 * 1024 * 1024) -> Sink:
        self.sinks.append(Sink(self.writer, limit_bytes=limit_bytes))
        return self.sinks[-1]

    def read_rest(self, sink: Sink) -> bytes:
        """All that the sink writes until it has closed."""
        pieces: list[bytes] = []
        thread = threading.Thread(target=lambda: pieces.append(read_all(self.reader)))
        thread.start()
        assert sink.close(10.0)
        self.close("writer")
        thread.join()
        return pieces[0]

    def close(self, end: str) -> None:
        if getattr(self, end) >= 0:
            os.close(getattr(self, end))
            setattr(self, end, -1)

    def end(self) -> None:
        # Without a reader no writer is stuck, and no number of a descriptor is free while
        # a thread still uses it.
        self.close("reader")
        for sink in self.sinks:
            assert sink.close(5.0)
        self.close("writer")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.end()


def read_all(reader: int) -> bytes:
    pieces = []
    while piece := os.read(reader, 65536):
        pieces.append(piece)
    return b"".join(pieces)


def test_lines_arrive_in_the_order_written() -> None:
    stream = io.BytesIO()
    sink = Sink(stream)
    written = [b"%d\n" % number for number in range(20_000)]
    for line in written:
        sink.write(line)
    assert sink.close(5.0)
    assert stream.getvalue() == b"".join(written)
    assert sink.dropped == 0
    assert sink.pending == 0


def test_a_line_is_written_by_the_next_flush(pipe: Pipe) -> None:
    sink = pipe.sink()
    sink.write(b"ready\n")
    sink.flush()
    assert os.read(pipe.reader, 100) == b"ready\n"


def test_a_full_batch_does_not_wait_for_the_timer(pipe: Pipe) -> None:
    sink = pipe.sink()
    sink.write(b"x" * 128 * 1024 + b"\n")
    assert os.read(pipe.reader, 10) == b"x" * 10


def test_a_pipe_nobody_reads_costs_lines_and_blocks_nobody(pipe: Pipe) -> None:
    sink = pipe.sink(limit_bytes=128 * 1024)
    line = b"y" * 1023 + b"\n"
    for _ in range(1000):
        sink.write(line)
    # That we came here at all is the point: the pipe holds 64 KiB, and these were 1,000.
    assert sink.pending <= 128 * 1024
    kept = 1000 - sink.dropped
    assert kept <= 128 + 64 + 128, "no more than the limit, the pipe and a batch being collected"


def test_every_line_is_either_read_or_counted_as_dropped(pipe: Pipe) -> None:
    sink = pipe.sink(limit_bytes=128 * 1024)
    line = b"y" * 1023 + b"\n"
    for _ in range(1000):
        sink.write(line)
    received = pipe.read_rest(sink)
    assert sink.dropped > 700
    assert received.count(b"\n") + sink.dropped == 1000


def test_closing_gives_a_stuck_reader_no_more_than_the_deadline(pipe: Pipe) -> None:
    sink = pipe.sink()
    for _ in range(300):
        sink.write(b"z" * 1023 + b"\n")
    assert sink.close(0.05) is False
    assert sink.dropped > 0


def test_a_reader_that_left_is_counted_and_not_raised(pipe: Pipe) -> None:
    pipe.close("reader")
    sink = pipe.sink()
    sink.write(b"one\n")
    sink.write(b"two\n")
    assert sink.close(5.0)
    assert sink.errors == 1
    assert sink.dropped == 2


def test_a_stream_somebody_closed_is_counted_and_not_raised() -> None:
    stream = io.BytesIO()
    stream.close()
    sink = Sink(stream)
    sink.write(b"one\n")
    assert sink.close(5.0)
    assert (sink.errors, sink.dropped) == (1, 1)


def test_a_non_blocking_pipe_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    sink = pipe.sink()
    payload = (b"n" * 1023 + b"\n") * 256
    sink.write(payload)
    assert pipe.read_rest(sink) == payload


def test_lines_after_closing_are_dropped() -> None:
    stream = io.BytesIO()
    sink = Sink(stream)
    assert sink.close(5.0)
    sink.write(b"late\n")
    sink.flush()
    assert sink.close(5.0)
    assert stream.getvalue() == b""
    assert sink.dropped == 1


def test_threads_may_write_at_the_same_time() -> None:
    stream = io.BytesIO()
    sink = Sink(stream)

    def work(name: int) -> None:
        for number in range(2000):
            sink.write(b"%d:%d\n" % (name, number))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sink.close(5.0)
    lines = stream.getvalue().splitlines()
    assert len(lines) + sink.dropped == 8000
    assert len(set(lines)) == len(lines)


def test_a_finalizer_that_logs_while_a_line_is_written_does_not_deadlock() -> None:
    stream = io.BytesIO()
    sink = Sink(stream)

    class Leaky:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            sink.write(b"finalizer\n")

    Leaky()
    with sink._lock:  # what the collector finds when it interrupts `write`
        gc.collect()
    sink.write(b"line\n")
    assert sink.close(5.0)
    assert sorted(stream.getvalue().splitlines()) == [b"finalizer", b"line"]


def test_closing_in_the_midst_of_a_write_does_not_deadlock() -> None:
    stream = io.BytesIO()
    sink = Sink(stream)
    sink.write(b"line\n")
    with sink._lock:  # what a signal finds that interrupts `write`
        assert sink.close(5.0)
    assert stream.getvalue() == b"line\n"


def test_a_pipe_is_no_terminal(pipe: Pipe) -> None:
    assert pipe.sink().tty is False


class TestFiles:
    def test_lines_go_to_a_file_from_then_on(self, tmp_path: Path) -> None:
        stream, file = io.BytesIO(), tmp_path / "a.log"
        sink = Sink(stream)
        sink.write(b"1\n")
        sink.redirect(str(file))
        sink.write(b"2\n")
        sink.redirect("")
        sink.write(b"3\n")
        assert sink.close(5.0)
        assert stream.getvalue() == b"1\n3\n"
        assert file.read_bytes() == b"2\n"
        assert file.stat().st_mode & 0o777 & ~0o640 == 0, "not for everybody's eyes"

    def test_a_file_that_was_renamed_is_opened_anew(self, tmp_path: Path) -> None:
        file, rotated = tmp_path / "a.log", tmp_path / "a.log.1"
        sink = Sink(io.BytesIO())
        sink.redirect(str(file))
        sink.write(b"1\n")
        sink.flush()
        file.rename(rotated)
        sink.write(b"2\n")
        sink.reopen()
        sink.write(b"3\n")
        assert sink.close(5.0)
        assert (rotated.read_bytes(), file.read_bytes()) == (b"1\n2\n", b"3\n")

    def test_a_file_is_appended_to(self, tmp_path: Path) -> None:
        file = tmp_path / "a.log"
        file.write_bytes(b"0\n")
        sink = Sink(io.BytesIO())
        sink.redirect(str(file))
        sink.redirect(str(file))
        sink.write(b"1\n")
        assert sink.close(5.0)
        assert file.read_bytes() == b"0\n1\n"

    def test_one_that_can_not_be_opened_changes_nothing(self, tmp_path: Path) -> None:
        stream = io.BytesIO()
        sink = Sink(stream)
        with pytest.raises(FileNotFoundError):
            sink.redirect(str(tmp_path / "missing" / "a.log"))
        sink.reopen()
        sink.write(b"1\n")
        assert sink.close(5.0)
        assert stream.getvalue() == b"1\n"

    def test_a_named_pipe_that_nobody_reads_is_not_waited_for(self, tmp_path: Path) -> None:
        pipe = tmp_path / "a.log"
        os.mkfifo(pipe)
        sink = Sink(io.BytesIO())
        with pytest.raises(OSError, match="No such device"):
            sink.redirect(str(pipe))
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        sink.redirect(str(pipe))
        sink.write(b"1\n")
        assert sink.close(5.0)
        assert os.read(reader, 10) == b"1\n"
        os.close(reader)

    def test_descriptors_are_closed(self, tmp_path: Path) -> None:
        before = len(os.listdir("/proc/self/fd"))
        sink = Sink(io.BytesIO())
        for number in range(5):
            sink.redirect(str(tmp_path / f"{number}.log"))
            sink.reopen()
        assert sink.close(5.0)
        assert len(os.listdir("/proc/self/fd")) == before
