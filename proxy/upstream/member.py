"""An endpoint of an upstream: what is kept of it across reloads, and its seat in one of them."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Final

from proxy.asking import Inside
from proxy.contract import Handler
from proxy.upstream.ejection import Ejection
from proxy.upstream.endpoint import Endpoint
from proxy.upstream.health import Health
from proxy.upstream.pool import Pool

Clock = Callable[[], float]

# The memory of how fast an endpoint answers, in seconds; a failure counts as so slow.
_MEMORY: Final = 10.0
_FAILED: Final = 1.0


class Latency:
    """How long an endpoint lately took to answer: a mean that forgets, and believes at once
    what is worse (peak EWMA). Monotonic seconds."""

    __slots__ = ("_seen", "_value")

    def __init__(self, now: float) -> None:
        self._value = 0.0
        self._seen = now

    def observe(self, now: float, seconds: float) -> None:
        """Count one answer."""
        kept = exp((self._seen - now) / _MEMORY)
        self._seen = now
        self._value = max(seconds, self._value * kept + seconds * (1.0 - kept))

    def failed(self, now: float, seconds: float) -> None:
        """Count a failure: an endpoint that fails at once must not look like a fast one."""
        self.observe(now, max(seconds, _FAILED))

    def read(self, now: float) -> float:
        """The mean by now; an endpoint that nobody asks is slowly given another chance."""
        return self._value * exp((self._seen - now) / _MEMORY)


class Tally:
    """What came of an endpoint's requests in the present interval. seconds: of those that
    succeeded, together. row_5xx: answers of 500 and above in a row. row_cut: of the bodies that
    streamed, those cut short in a row."""

    __slots__ = ("failed", "row_5xx", "row_cut", "seconds", "succeeded")

    def __init__(self) -> None:
        self.row_5xx = self.row_cut = 0
        self.clear()

    def clear(self) -> None:
        """Begin another interval."""
        self.succeeded = 0
        self.failed = 0
        self.seconds = 0.0

    @property
    def total(self) -> int:
        """Requests that ended."""
        return self.succeeded + self.failed

    @property
    def share(self) -> float:
        """The part that succeeded; 1.0 when there was none."""
        return self.succeeded / self.total if self.total else 1.0

    @property
    def mean(self) -> float:
        """Seconds that a success took; 0.0 when there was none."""
        return self.seconds / self.succeeded if self.succeeded else 0.0


class Member:
    """An endpoint with its connections and what is known of it; survives reloads.

    since: when it came or came back, in monotonic seconds. asked: requests that wait for the
    head of its response. health: by active checks. ejection: by what came of its requests.
    """

    __slots__ = ("asked", "ejection", "endpoint", "health", "latency", "pool", "since", "tally")

    def __init__(self, endpoint: Endpoint, pool: Pool, now: float) -> None:
        self.endpoint = endpoint
        self.pool = pool
        self.latency = Latency(now)
        self.tally = Tally()
        self.health = Health(1, 1)
        self.ejection = Ejection(1.0, 1.0)
        self.since = now
        self.asked = 0

    @property
    def usable(self) -> bool:
        """Neither checks nor its own answers speak against it."""
        return self.health.usable and self.ejection.usable


class Seat:
    """A member's place in an upstream as one configuration has it.

    ask: the handler that sends a request there; it is kept as `inside`. shut: whether it would
    be refused at once. clock: monotonic seconds.
    """

    __slots__ = ("_clock", "_shut", "inside", "member", "name", "pool", "priority", "weight")

    def __init__(
        self,
        member: Member,
        ask: Handler,
        weight: int,
        priority: int,
        clock: Clock,
        shut: Callable[[], bool] | None = None,
    ) -> None:
        self.member = member
        self.pool = member.pool
        self.name = member.endpoint.text
        self.inside = Inside(ask)
        self.weight = weight
        self.priority = priority
        self._clock = clock
        self._shut = shut

    @property
    def free(self) -> bool:
        """A request would be sent at once."""
        return self.pool.available and (self._shut is None or not self._shut())

    @property
    def takes_tunnel(self) -> bool:
        """A request for a tunnel would be sent at once."""
        return self.pool.tunnel_available and self.free

    @property
    def tunnels(self) -> int:
        """Tunnels to it that are open or asked for."""
        return self.pool.tunnels

    @property
    def load(self) -> int:
        """Exchanges that its connections have, and requests that wait for one."""
        return self.pool.load

    @property
    def asked(self) -> int:
        """Requests that wait for the head of its response."""
        return self.member.asked

    def delay(self) -> float:
        """Seconds that it lately took to answer; 0.0 before its first answer."""
        return self.member.latency.read(self._clock())
