"""Workers that count in the same memory, on clocks that stand still until they are set."""

from __future__ import annotations

from proxy.limits import Algorithm, Quota
from proxy.store.memory import Memory, MemoryLimiter
from proxy.store.region import Region


class Workers:
    """now: monotonic seconds. wall: seconds since 1970. keys: for which there is room."""

    def __init__(self, count: int = 1, keys: int = 1000) -> None:
        self.now = 5000.0
        self.wall = 1_800_000_000.0
        self.region = Region.private(bytes(16), keys, count)
        self.stores = [
            Memory(self.region, lambda: self.now, lambda: self.wall, worker=number)
            for number in range(count)
        ]

    def wait(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.now += seconds
        self.wall += seconds

    def limiter(self, *quotas: Quota, identity: str = "test") -> MemoryLimiter:
        """A limiter of the first worker."""
        return self.stores[0].limiter(identity, quotas)

    def limiters(self, *quotas: Quota) -> list[MemoryLimiter]:
        """A limiter of each worker, for the same counts."""
        return [store.limiter("test", quotas) for store in self.stores]


def quota(
    limit: int, period: float = 1.0, burst: int | None = None, algorithm: Algorithm = "gcra"
) -> Quota:
    """A quota."""
    return Quota(algorithm, limit, period, limit if burst is None else burst)


def admits(limiter: MemoryLimiter, key: str = "k", cost: int = 1) -> bool:
    """Whether a request is admitted."""
    return all(verdict.allowed for verdict in limiter.take(key, cost))


class Jammed:
    """Locks that are never to be had."""

    def address(self, number: int) -> int:
        return number

    def acquire(self, address: int) -> bool:
        return False

    def release(self, address: int) -> None:
        raise AssertionError("never acquired")
