"""What policies are given to work with: counters, a log, the client's side.

Policies import these from `proxy.contract`, where `Toolkit` hands them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

from proxy.cells import DURATION_BUCKETS
from proxy.http1.headers import Headers

T = TypeVar("T")


class Target(NamedTuple):
    """Where the requests of a route go: the upstream's name, empty for none, and whether it
    has or may come to have several endpoints."""

    name: str
    several: bool


PRIORITIES: Final = ("critical", "high", "normal", "low")
"""Classes of requests; when there is too much to do, later ones are turned away first."""


class Strain:
    """How busy the process is. lag: seconds that timers of the event loop lately came late.
    memory: bytes that are resident."""

    __slots__ = ("lag", "memory")

    def __init__(self) -> None:
        self.lag = 0.0
        self.memory = 0


class Keep(Protocol):
    """Gives state that lives as long as some configuration in use asks for its key."""

    def __call__(self, key: str, make: Callable[[], T]) -> T:
        """What is kept under the key, made on the first call. The key names all that shapes it."""
        ...


class Kept(Protocol):
    """An object that a trove keeps.

    key: its name. url: what it belongs to. tags: further names to purge it by. weight:
    bytes that it takes. visits: how often it was found lately; whoever finds it counts, up
    to 3. mark: it holds nothing itself, and isn't counted when it is purged.
    """

    key: str
    url: str
    tags: tuple[str, ...]
    weight: int
    visits: int

    @property
    def mark(self) -> bool:
        """It only stands for others."""
        ...

    def spoil(self) -> None:
        """It must not be used again before its origin was asked."""
        ...


class Ticket:
    """Leave to keep what is being fetched for a URL.

    void: what comes is out of date already, since the URL was purged meanwhile.
    """

    __slots__ = ("url", "void")

    def __init__(self, url: str) -> None:
        self.url = url
        self.void = False


class Trove(Protocol):
    """Objects in memory under a bound of bytes, shared by all who keep something in it."""

    @property
    def object_limit(self) -> int:
        """Most bytes of a single object."""
        ...

    @property
    def find(self) -> Callable[[str], Kept | None]:
        """The object of a key, or None."""
        ...

    def put(self, item: Kept) -> bool:
        """Keep an object, in place of one of the same key; False when it is too heavy."""
        ...

    def remove(self, key: str, reason: str) -> None:
        """Let go of an object; `reason` labels a metric."""
        ...

    def forget(self, urls: Sequence[str]) -> None:
        """Let go of all objects of some URLs, and void the tickets for them."""
        ...

    async def purge_url(self, url: str) -> int:
        """Let go of a URL's objects in either scheme, everywhere; how many went."""
        ...

    def begin(self, url: str) -> Ticket:
        """Something is about to be fetched for a URL."""
        ...

    def end(self, ticket: Ticket) -> None:
        """The fetch of a ticket is over."""
        ...

    def phantom(self) -> Trove:
        """Another one of the same bounds, which counts in no metric: for what only seems kept."""
        ...

    def reserve(self, size: int) -> bool:
        """Count bytes that are held for a fetch under way, negative when they are let go.

        False when there are too many already; then they aren't counted.
        """
        ...


class Depot(Protocol):
    """Values by URL that all instances share, for as long as they last. What belongs to a URL
    that was purged is outdated, which is for the reader to see by its mark.

    While it can't be asked, nothing is found and nothing kept; that raises nothing.
    """

    @property
    def object_limit(self) -> int:
        """Most bytes of a single object."""
        ...

    @property
    def compress_from(self) -> int:
        """Texts of so many bytes are to be compressed."""
        ...

    @property
    def mark(self) -> str:
        """For what is asked for now; empty while it can't be told what has been purged."""
        ...

    def judge(self, mark: str, url: str, tags: Sequence[str]) -> Literal["good", "spoilt", "gone"]:
        """Whether something of this mark is still good, or must be asked for anew before it is
        used (`spoilt`), or must not be used at all."""
        ...

    async def find(self, url: str, names: Sequence[str]) -> list[bytes | None]:
        """The values of a URL by these names; None for each that isn't there."""
        ...

    async def holds(self, url: str, names: Sequence[str]) -> bool:
        """All values of these names are there."""
        ...

    async def put(
        self, url: str, values: Mapping[str, bytes], seconds: float, tags: Sequence[str] = ()
    ) -> bool:
        """Keep values of a URL for so long; False if that failed."""
        ...

    async def prolong(self, url: str, names: Sequence[str], seconds: float) -> bool:
        """Keep values for longer, if all of them are there."""
        ...

    async def claim(self, url: str, name: str, who: str, seconds: float) -> str:
        """Say who is at something, unless somebody is; who that is now, empty if unknown."""
        ...

    async def release(self, url: str, name: str, who: str) -> None:
        """Give up a claim, if it is still one's own."""
        ...


class Counter(Protocol):
    """A monotonic count with labels bound at construction."""

    def inc(self, amount: float = 1.0) -> None:
        """Add to the count."""
        ...


class Gauge(Protocol):
    """A value that goes up and down, with labels bound at construction."""

    def set(self, value: float) -> None:
        """Replace the value."""
        ...

    def clear(self) -> None:
        """There is nothing to tell any more: the series ends until it is set again."""
        ...


class Observations(Protocol):
    """A histogram with labels bound at construction."""

    def observe(self, value: float) -> None:
        """Count one observation."""
        ...


class Metrics(Protocol):
    """Where policies get their metrics. Labels must come from the configuration.

    Names begin `sidegate_` and carry the base unit; those of counters end `_total`. The same
    name and labels give the same cell, also after a reload.
    """

    def counter(self, name: str, documentation: str, **labels: str) -> Counter:
        """The counter of this name and these labels."""
        ...

    def gauge(
        self,
        name: str,
        documentation: str,
        merge: Literal["sum", "max", "min"] = "sum",
        **labels: str,
    ) -> Gauge:
        """The gauge of this name and these labels; it isn't shown until it is set.

        merge: what the values of several workers become together.
        """
        ...

    def histogram(
        self,
        name: str,
        documentation: str,
        bounds: tuple[float, ...] = DURATION_BUCKETS,
        **labels: str,
    ) -> Observations:
        """The histogram of this name and these labels. bounds: ascending, without infinity."""
        ...


class Log(Protocol):
    """A structured logger: an event in words, and facts by name."""

    def debug(self, event: str, **facts: Any) -> Any:
        """For the developer of a policy."""
        ...

    def info(self, event: str, **facts: Any) -> Any:
        """Something worth knowing happened."""
        ...

    def warning(self, event: str, **facts: Any) -> Any:
        """Something is wrong, and the proxy goes on without loss."""
        ...

    def error(self, event: str, **facts: Any) -> Any:
        """Something failed and somebody has to look."""
        ...


class Exchange(Protocol):
    """What forwarding may ask of the client's side of an exchange."""

    def interim(self, status: int, headers: Headers) -> None:
        """Pass an interim response (1xx) on to the client at once."""
        ...

    @property
    def expects_continue(self) -> bool:
        """The client waits for `100 Continue` before it sends its body."""
        ...

    def defer_continue(self, seconds: float) -> None:
        """Leave that word to the upstream for so long, instead of giving it at the first read."""
        ...

    def at_end(self, call: Callable[[], None]) -> None:
        """Call this when the exchange is over, unless it has become a tunnel: whatever was
        asked for its sake, and nobody let go of, ends then."""
        ...


class _NoExchange:
    """Stands for the client where there is none, as in `explain` and unit tests."""

    expects_continue = False

    def defer_continue(self, seconds: float) -> None:
        return None

    def interim(self, status: int, headers: Headers) -> None:
        return None

    def at_end(self, call: Callable[[], None]) -> None:
        return None


NO_EXCHANGE: Exchange = _NoExchange()


NO_TARGET: Final = Target("", False)


def make_anew(key: str, make: Callable[[], T]) -> T:
    """Keeps nothing; stands for `Keep` where nothing runs, as in `check`."""
    return make()
