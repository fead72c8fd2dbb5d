"""Questions about the limits of one key.

May live here: names of keys, calls of the script. Must not live here: what an answer means for
a request (`limiter`), how a question finds the server that has the key (`inquiry`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Literal, NamedTuple, Protocol

from proxy.limits import Quota, Reading
from proxy.store.redis.inquiry import Inquiry, Scene
from proxy.store.redis.scripts import Script, describe
from proxy.store.redis.topology import slot_of

Deed = Literal["take", "look", "charge", "give", "hold", "lease"]

_HOMES_MAX: Final = 4096
_NO_TIME: Final = 0


class Home(NamedTuple):
    """Where the records of one key are."""

    slot: int
    keys: tuple[bytes, ...]


class Circumstances(Scene, Protocol):
    """What limiters share.

    prefix: of all keys. worker: a name of this worker, which no other one has.
    """

    prefix: str
    worker: bytes


class Asker:
    """Puts the questions of one limiter. identity: equal ones share their counts."""

    def __init__(self, store: Circumstances, identity: str, quotas: tuple[Quota, ...]) -> None:
        self.store = store
        self.script = Script([quota.algorithm for quota in quotas])
        self._quotas = tuple(describe(quota) for quota in quotas)
        self._person = blake2b(f"{identity}/{quotas}".encode(), digest_size=16).digest()
        self._usual = self._with_times([_NO_TIME] * len(quotas))
        self.home = lru_cache(_HOMES_MAX)(self._find_home)

    def ask(
        self,
        home: Home,
        deed: Deed,
        cost: int,
        *,
        more: int = 0,
        since: float | None = None,
        times: Reading = (),
        answered: Callable[[list[int]], None] | None = None,
        failed: Callable[[], None] | None = None,
    ) -> None:
        """Ask about a key. more: as in `scripts`. since: when somebody began to wait for it, by
        default now. times: when what is given back was taken. answered, failed: one of them is
        called, once."""
        quotas = self._usual
        if times:
            quotas = self._with_times([int(verdict.at) for verdict in times])
        words = (len(home.keys), *home.keys, deed, cost, more, self.store.worker, *quotas)
        Inquiry(self.store, home.slot, words, answered, failed, self.script, since).put()

    def _with_times(self, times: Sequence[int]) -> tuple[bytes | int, ...]:
        words: list[bytes | int] = []
        for quota, at in zip(self._quotas, times, strict=True):
            words += [*quota, at]
        return tuple(words)

    def _find_home(self, key: str) -> Home:
        """Remembered for the keys that come again. No key's text goes to Redis."""
        digest = blake2b(
            key.encode("utf-8", "surrogatepass"), digest_size=16, person=self._person
        ).hexdigest()
        # All records of a key are in one slot of a cluster, by the part in braces.
        keys = [
            f"{self.store.prefix}:{{{digest}}}:{number}".encode()
            for number in range(len(self._quotas))
        ]
        return Home(slot_of(digest.encode()), tuple(keys))
