"""What answers in place of a store that can't be asked, as the policy says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from proxy.errors import Refused
from proxy.limits import Limiter, OnFailure, Reading


class StandIn:
    """Answers by `on_failure`. limiter: gives the one that counts locally."""

    def __init__(self, on_failure: OnFailure, limiter: Callable[[], Limiter]) -> None:
        self._on_failure = on_failure
        self._make = limiter
        self._limiter: Limiter | None = None

    def take(self, key: str, cost: int) -> Reading:
        """As `Limiter.take`. Raises Refused `limit_unavailable` where it is closed."""
        limiter = self._local()
        return () if limiter is None else _marked(limiter.take(key, cost))

    def look(self, key: str, cost: int) -> Reading:
        """As `Limiter.look`. Raises Refused `limit_unavailable` where it is closed."""
        limiter = self._local()
        return () if limiter is None else _marked(limiter.look(key, cost))

    def charge(self, key: str, cost: int) -> None:
        """As `Limiter.charge`."""
        if self._on_failure == "local" and (limiter := self._local()) is not None:
            limiter.charge(key, cost)

    def give_back(self, key: str, cost: int, reading: Reading) -> None:
        """As `Limiter.give_back`, for what was taken here."""
        if self._limiter is not None:
            self._limiter.give_back(key, cost, _marked(reading, "store"))

    def _local(self) -> Limiter | None:
        if self._on_failure == "closed":
            raise Refused("limit_unavailable", headers=(("Retry-After", "1"),))
        if self._on_failure == "open":
            return None
        if self._limiter is None:
            self._limiter = self._make()
        return self._limiter


def taken_here(reading: Reading) -> bool:
    """Whether a reading is a stand-in's."""
    return any(verdict.source == "local" for verdict in reading)


def _marked(reading: Reading, source: Literal["store", "local"] = "local") -> Reading:
    for verdict in reading:
        verdict.source = source
    return reading
