"""The way out for spans: a bounded queue, and a thread that sends batches.

May live here: when spans are sent, and what happens when nobody takes them. Must not live
here: formats or protocols (`otlp`). `offer` never blocks and never fails: when the queue is
full the span is lost, which the counts tell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Final, Protocol

from proxy.contract import Counter, Log
from proxy.telemetry.tracing.spans import Span

_BATCH: Final = 256
_WAIT_SECONDS: Final = 1.0


class Exporter(Protocol):
    """Sends spans; called in one thread, which it may block."""

    def send(self, spans: Sequence[Span]) -> bool:
        """Send them; False when they are lost."""
        ...

    def close(self) -> None:
        """Give up what is being sent, and let go of connections; called in another thread."""
        ...


class SpanQueue:
    """Spans on their way.

    make: makes the exporter, in the thread. limit: most spans that wait. exported, failed,
    dropped: counts of spans; dropped is written by the event loop, the others by the thread.
    """

    def __init__(
        self,
        make: Callable[[], Exporter],
        limit: int,
        log: Log,
        *,
        exported: Counter,
        failed: Counter,
        dropped: Counter,
    ) -> None:
        self._make = make
        self._limit = limit
        self._log = log
        self._exported = exported
        self._failed = failed
        self._dropped = dropped
        self._waiting: deque[Span] = deque()
        self._wanted = Event()
        self._closing = False
        self._exporter: Exporter | None = None
        self._failing = False
        # Started for the first span, so that a configuration that is given up costs nothing.
        self._thread: Thread | None = None

    def offer(self, spans: Sequence[Span]) -> None:
        """Take the spans of a trace, all or none."""
        waiting = self._waiting
        if self._closing or len(waiting) + len(spans) > self._limit:
            self._dropped.inc(len(spans))
            return
        waiting.extend(spans)
        if self._thread is None:
            self._thread = Thread(target=self._run, name="sidegate-traces", daemon=True)
            self._thread.start()
        if len(waiting) >= _BATCH and not self._wanted.is_set():
            self._wanted.set()

    def close(self, seconds: float) -> None:
        """Send what is left, for so long at most. Blocks."""
        self._closing = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(seconds)
        if self._exporter is not None:
            self._exporter.close()

    def _run(self) -> None:
        try:
            self._exporter = exporter = self._make()
        except Exception as error:
            self._log.error("traces can't be exported", exc_info=error)
            self._closing = True
            self._lose(len(self._waiting))
            self._waiting.clear()
            return
        while not (self._closing and not self._waiting):
            self._wanted.wait(_WAIT_SECONDS)
            if not self._closing:
                self._wanted.clear()
            while self._waiting:
                self._send(exporter)

    def _send(self, exporter: Exporter) -> None:
        waiting = self._waiting
        batch = [waiting.popleft() for _ in range(min(len(waiting), _BATCH))]
        reason = "the collector didn't take them"
        try:
            sent = exporter.send(batch)
        except Exception as error:
            # Whatever an exporter does, it must not end the thread.
            sent, reason = False, type(error).__name__
        if sent:
            self._exported.inc(len(batch))
            if self._failing:
                self._log.info("spans are exported again")
        else:
            self._lose(len(batch))
            if not self._failing:
                self._log.warning("spans are lost; sidegate_spans_total counts them", reason=reason)
        self._failing = not sent

    def _lose(self, count: int) -> None:
        self._failed.inc(count)
