"""A circuit breaker: stops asking a service that fails, and finds out when it is well again.

A pure state machine, a method per state. States: *closed* (all requests pass, and their
outcomes are counted in a sliding window), *open* (none passes), *half_open* (a few pass, one
after another or at once up to a bound, and decide). Monotonic seconds come in.
"""

from __future__ import annotations

from typing import Final, Literal

from proxy.config.protection import Breaker as Options

State = Literal["closed", "open", "half_open"]

# The window slides by tenths of its length.
_SLOTS: Final = 10


class Window:
    """Outcomes of the last seconds. length: how many."""

    __slots__ = ("_bad", "_good", "_slot", "_width")

    def __init__(self, length: float) -> None:
        self._width = length / _SLOTS
        self._good = [0] * _SLOTS
        self._bad = [0] * _SLOTS
        self._slot = 0

    def count(self, good: bool, now: float) -> None:
        """Count one outcome."""
        self._slide(now)
        (self._good if good else self._bad)[self._slot % _SLOTS] += 1

    def totals(self, now: float) -> tuple[int, int]:
        """Outcomes in the window, and how many of them were bad."""
        self._slide(now)
        bad = sum(self._bad)
        return sum(self._good) + bad, bad

    def clear(self) -> None:
        """Forget all."""
        self._good = [0] * _SLOTS
        self._bad = [0] * _SLOTS

    def _slide(self, now: float) -> None:
        slot = int(now / self._width)
        for passed in range(max(self._slot, slot - _SLOTS) + 1, slot + 1):
            self._good[passed % _SLOTS] = self._bad[passed % _SLOTS] = 0
        self._slot = max(self._slot, slot)


class Breaker:
    """Admits requests or not, and learns from those it admitted.

    A request is admitted with a ticket, which has to be given back once by `succeeded`,
    `failed` or `dropped`. Tickets of a state that is over count for nothing.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._window = Window(options.window)
        self._row = 0
        self._level = 0
        self._probing = 0
        self._passed = 0
        self._era = 1
        self.state: State = "closed"
        self.until = 0.0
        """While open: when the first probe may pass."""
        self.opened = 0
        """How often it opened."""
        self.shown = 0
        """How many tell of its state."""

    def admit(self, now: float) -> int:
        """A ticket, or 0 when the request must not pass."""
        if self.state == "closed":
            return self._era
        if self.state == "open":
            return self._open_admit(now)
        return self._half_open_admit()

    def would_admit(self, now: float) -> bool:
        """Whether `admit` would give a ticket; changes nothing."""
        if self.state == "open":
            return now >= self.until
        return self.state == "closed" or self._wants_probe

    def succeeded(self, ticket: int, now: float) -> None:
        """A request went well."""
        if ticket != self._era:
            return
        if self.state == "closed":
            self._row = 0
            self._window.count(True, now)
        else:
            self._half_open_succeeded()

    def failed(self, ticket: int, now: float, patience: float = 0.0) -> None:
        """A request failed, or took too long. patience: seconds that the service asked for."""
        if ticket != self._era:
            return
        if self.state == "closed":
            self._closed_failed(now, patience)
        else:
            self._trip(now, patience)

    def dropped(self, ticket: int) -> None:
        """A request ended without telling anything about the service."""
        if ticket == self._era and self.state == "half_open":
            self._probing -= 1

    def wait(self, now: float) -> float:
        """Seconds until a request may pass, when none may."""
        return max(0.0, self.until - now) if self.state == "open" else 0.0

    def _closed_failed(self, now: float, patience: float) -> None:
        options = self._options
        self._row += 1
        self._window.count(False, now)
        if options.consecutive is not None and self._row >= options.consecutive:
            self._trip(now, patience)
        elif options.failure_rate is not None:
            total, bad = self._window.totals(now)
            if total >= options.volume and bad >= options.failure_rate * total:
                self._trip(now, patience)

    def _open_admit(self, now: float) -> int:
        if now < self.until:
            return 0
        self._become("half_open")
        return self._half_open_admit()

    @property
    def _wants_probe(self) -> bool:
        # Those that passed and those under way together are enough to decide.
        return self._probing + self._passed < self._options.probes

    def _half_open_admit(self) -> int:
        if not self._wants_probe:
            return 0
        self._probing += 1
        return self._era

    def _half_open_succeeded(self) -> None:
        self._probing -= 1
        self._passed += 1
        if self._passed >= self._options.probes:
            self._level = 0
            self._become("closed")

    def _trip(self, now: float, patience: float) -> None:
        """Open, for twice as long each time until it was closed again."""
        options = self._options
        rest = min(options.longest, options.rest * 2.0**self._level)
        self._level = min(self._level + 1, 32)
        self.until = now + max(rest, min(patience, options.longest))
        self.opened += 1
        self._become("open")

    def _become(self, state: State) -> None:
        self.state = state
        self._era += 1
        self._row = self._probing = self._passed = 0
        self._window.clear()
