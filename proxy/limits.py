"""What a limit is, and what its policy may ask of whoever counts it. Pure values.

`Toolkit.store` is the one who counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

Algorithm = Literal["gcra", "sliding_window", "fixed_window", "concurrency"]
"""How requests are counted; `concurrency` counts those in flight."""

OnFailure = Literal["local", "open", "closed"]
"""What stands in for a store that can't be asked: this instance's own memory, consent to
everything, or refusal of everything."""


class Quota(NamedTuple):
    """One limit on whatever a key stands for.

    limit: requests, or other units of cost, in each `period` of seconds; for `concurrency`
    at one time, with a period of 0.0. burst: of gcra, how many may come at once; else equal
    to `limit`.
    """

    algorithm: Algorithm
    limit: int
    period: float
    burst: int


class Terms(NamedTuple):
    """How a limiter treats its store. lease: how many a worker may take ahead, 0 for none."""

    on_failure: OnFailure = "local"
    lease: int = 0


USUAL_TERMS = Terms()


class Verdict:
    """A limiter's answer about one quota.

    allowed: within the quota. remaining: whole requests left at once. retry_after: seconds
    until this cost would be admitted; 0.0 when allowed, infinite when never. reset_after:
    seconds until the allowance is full again. at: the store's own time, which tells what was
    taken when it is given back. source: `local` when the store could not be asked.
    """

    # No dataclass, whose `__init__` the compiler leaves to the interpreter: 0.2 µs a request.
    __slots__ = ("allowed", "at", "remaining", "reset_after", "retry_after", "source")

    def __init__(
        self,
        allowed: bool,
        remaining: int,
        retry_after: float,
        reset_after: float,
        at: float = 0.0,
        source: Literal["store", "local"] = "store",
    ) -> None:
        self.allowed = allowed
        self.remaining = remaining
        self.retry_after = retry_after
        self.reset_after = reset_after
        self.at = at
        self.source: Literal["store", "local"] = source


Reading = tuple[Verdict, ...]
"""A limiter's answer about one request: a verdict for each quota, in their order. Nothing
was taken unless all allow it. Empty when the store could not be asked and the terms say
`open`."""


class Limiter(Protocol):
    """Quotas on keys, counted in memory: every answer comes at once.

    Raises GatewayError `limit_unavailable` where counting fails and the terms say `closed`.
    """

    @property
    def prompt(self) -> Literal[True]:
        """Tells it from a `RemoteLimiter`."""
        ...

    def take(self, key: str, cost: int = 1) -> Reading:
        """Take `cost` from every quota of the key, or nothing if one has no room for it."""
        ...

    def look(self, key: str, cost: int = 1) -> Reading:
        """Whether `cost` would be admitted; takes nothing, and `remaining` is without it."""
        ...

    def charge(self, key: str, cost: int) -> None:
        """Take `cost` from every quota, whether there is room for it or not."""
        ...

    def give_back(self, key: str, cost: int, reading: Reading) -> None:
        """Undo what `take` took, as far as it still counts. reading: its answer."""
        ...

    def reset(self, key: str) -> None:
        """Forget the key."""
        ...


class Pending(Awaitable[Reading], Protocol):
    """A reading that is being asked for."""

    def cancel(self) -> bool:
        """Nobody waits for it any more; what it takes is given back where that matters."""
        ...


class RemoteLimiter(Protocol):
    """As `Limiter`, counted elsewhere: questions leave at once, answers are waited for, unless
    they are here already.

    What has no answer is not waited for, and keeps its order.
    """

    @property
    def prompt(self) -> Literal[False]:
        """Tells it from a `Limiter`."""
        ...

    def take(self, key: str, cost: int = 1) -> Reading | Pending:
        """Take `cost` from every quota of the key, or nothing if one has no room for it."""
        ...

    def look(self, key: str, cost: int = 1) -> Reading | Pending:
        """Whether `cost` would be admitted; takes nothing, and `remaining` is without it."""
        ...

    def charge(self, key: str, cost: int) -> None:
        """Take `cost` from every quota, whether there is room for it or not."""
        ...

    def give_back(self, key: str, cost: int, reading: Reading) -> None:
        """Undo what `take` took, as far as it still counts. reading: its answer."""
        ...

    def reset(self, key: str) -> Awaitable[None]:
        """Forget the key. Raises GatewayError `limit_unavailable` when that can't be done."""
        ...


class Store(Protocol):
    """Where limits are counted."""

    def limiter(
        self, identity: str, quotas: Sequence[Quota], terms: Terms = USUAL_TERMS
    ) -> Limiter | RemoteLimiter:
        """A limiter of these quotas. identity: equal ones share their counts, between all
        workers, and between all instances where the store is one for all."""
        ...


class Desk(Protocol):
    """What operators may ask of a policy's limits; a policy that has one calls it `desk`."""

    name: str

    def describe(self) -> dict[str, Any]:
        """The limits."""
        ...

    def look(self, values: Sequence[str], tier: str) -> Awaitable[list[dict[str, Any]]]:
        """How each limit of a key stands. values: of the key's parts. Raises ValueError, with
        the fix, when there is no such key."""
        ...

    def reset(self, values: Sequence[str], tier: str) -> Awaitable[None]:
        """Let a key begin anew. Raises ValueError, and Refused when that can't be done."""
        ...
