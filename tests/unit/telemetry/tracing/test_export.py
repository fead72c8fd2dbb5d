"""Spans on their way out."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

import pytest

from proxy.telemetry.tracing.export import SpanQueue
from proxy.telemetry.tracing.spans import Span
from tests.unit.policies.world import Count, Journal

SPAN = Span("a", "server", "1" * 32, "2" * 16, "", False, 1, "", 1, 2, "", {})


class Collector:
    """Takes spans, unless `answers` begins with something else."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.answers: list[bool | Exception] = []
        self.free = Event()
        self.free.set()
        self.closed = False

    def send(self, spans: Sequence[Span]) -> bool:
        self.free.wait(10)
        self.batches.append(len(spans))
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True


class World:
    def __init__(self, limit: int = 1000) -> None:
        self.collector = Collector()
        self.journal = Journal()
        self.exported, self.failed, self.dropped = Count(), Count(), Count()
        self.queue = SpanQueue(
            lambda: self.collector,
            limit,
            self.journal,
            exported=self.exported,
            failed=self.failed,
            dropped=self.dropped,
        )

    @property
    def counts(self) -> list[float]:
        return [self.exported.value, self.failed.value, self.dropped.value]


def test_closing_sends_what_waits_in_batches() -> None:
    world = World()
    for _ in range(300):
        world.queue.offer([SPAN, SPAN])
    world.queue.close(10)
    assert sum(world.collector.batches) == 600
    assert max(world.collector.batches) <= 256
    assert world.counts == [600, 0, 0]
    assert world.collector.closed


def test_a_collector_that_hangs_costs_spans_and_no_wait() -> None:
    world = World(limit=300)
    world.collector.free.clear()
    for _ in range(1000):
        world.queue.offer([SPAN])
    world.collector.free.set()
    world.queue.close(10)
    exported, failed, dropped = world.counts
    assert exported + dropped == 1000
    # One batch may be under way, besides those that wait.
    assert 300 <= exported <= 556
    assert failed == 0


def test_a_trace_is_taken_whole_or_not() -> None:
    world = World(limit=3)
    world.queue.offer([SPAN] * 4)
    world.queue.close(10)
    assert world.counts == [0, 0, 4]


@pytest.mark.parametrize("answer", [False, OSError("canary")])
def test_failures_are_counted_and_told_once(answer: bool | Exception) -> None:
    world = World()
    world.collector.answers = [answer] * 600
    for _ in range(600):
        world.queue.offer([SPAN])
    world.queue.close(10)
    assert world.counts == [0, 600, 0]
    assert len(world.collector.batches) > 1
    [(level, event, facts)] = world.journal.lines
    assert (level, "spans are lost" in event) == ("warning", True)
    assert "canary" not in str(facts)


def test_a_collector_that_comes_back_is_told_of() -> None:
    world = World()
    world.collector.answers = [False]
    world.collector.free.clear()
    for _ in range(2):
        world.queue.offer([SPAN] * 256)
    world.collector.free.set()
    world.queue.close(10)
    assert world.counts == [256, 256, 0]
    assert [event for _, event, _ in world.journal.lines][-1:] == ["spans are exported again"]


def test_an_exporter_that_can_not_be_made_loses_spans_and_says_why() -> None:
    journal, failed, dropped = Journal(), Count(), Count()

    def make() -> Collector:
        raise ValueError("the CA file can't be read")

    queue = SpanQueue(make, 100, journal, exported=Count(), failed=failed, dropped=dropped)
    queue.offer([SPAN])
    queue.close(10)
    queue.offer([SPAN])
    assert (failed.value, dropped.value) == (1, 1)
    assert [level for level, _, _ in journal.lines] == ["error"]


def test_nothing_is_started_for_nothing() -> None:
    world = World()
    world.queue.close(0)
    assert not world.collector.closed
