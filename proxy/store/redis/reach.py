"""Whether the servers of a store can be asked, as it is told in the log and counted.

May live here: what all stores in Redis say of themselves. Must not live here: what a store is
for, or what is done while it can't be asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from math import inf
from typing import Any, Final, Literal
from weakref import WeakKeyDictionary

from proxy.config.store import RedisOptions
from proxy.contract import Log, Metrics
from proxy.store.redis.access import make_access
from proxy.store.redis.inquiry import Failure
from proxy.store.redis.node import Node
from proxy.store.redis.topology import make_topology

# A server that refuses is told of once, and again when it begins anew after so long.
_FORGIVEN_SECONDS: Final = 60.0


class Reach:
    """The servers of one store.

    name: the store's, such as "limit store"; its metrics begin with `sidegate_` and `metric`.
    task: what it does, such as "count". instead: what is done while it can't be asked, in
    words. patience: seconds in which a server answers that is relied on. returned: called
    whenever one can be asked again. connected: set once all servers can be. Raises ValueError
    for files that can't be used.
    """

    def __init__(
        self,
        options: RedisOptions,
        name: str,
        metric: str,
        task: str,
        instead: str,
        patience: float,
        returned: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        metrics: Metrics,
        log: Callable[[], Log],
    ) -> None:
        self._name = name
        self._task = task
        self._instead = instead
        self._returned = returned
        self._log = log
        self._loop = loop
        self._refused_at = -inf
        self._able: WeakKeyDictionary[Node, bool] = WeakKeyDictionary()
        self._tally = _Tally(metrics, name, metric)
        self.connected = asyncio.Event()
        access = make_access(options, patience)
        self.topology = make_topology(options, access, loop, spawn, self._told)

    @property
    def ready(self) -> bool:
        """Whether all servers can be asked."""
        nodes = self.topology.nodes()
        return bool(nodes) and all(node.usable for node in nodes)

    def failed(self, why: Failure, text: str = "") -> None:
        """A question has got no answer that was of use."""
        self._tally.failed(why)
        if why != "error":
            return
        now = self._loop.time()
        anew, self._refused_at = now - self._refused_at > _FORGIVEN_SECONDS, now
        if anew:
            self.say(
                "warning", f"the {self._name} refuses to {self._task}; {self._instead}",
                answer=text[:200],
            )  # fmt: skip

    def say(self, level: Literal["info", "warning"], event: str, **facts: str) -> None:
        """Write a log line that belongs to no request, whichever one it came to light by."""
        Context().run(partial(getattr(self._log(), level), event, **facts))

    def _told(self, node: Node, why: str) -> None:
        """A server can be asked again, or, for a reason, can't."""
        self._tally.up.set(float(self.ready))
        if self.ready:
            self.connected.set()
        if self._able.get(node, bool(why)) is bool(why):
            self._able[node] = not why
            self._tally.changed(up=not why)
        place = "" if node.address is None else node.address.host
        if node.address is not None and node.address.port:
            place = f"{place}:{node.address.port}"
        if why:
            event = f"the {self._name} can't be asked; {self._instead}"
            self.say("warning", event, server=place, reason=why)
        else:
            self._refused_at = -inf
            self._returned()
            self.say("info", f"the {self._name} answers", server=place)


class _Tally:
    """What is counted of a store."""

    def __init__(self, metrics: Metrics, name: str, metric: str) -> None:
        self.up = metrics.gauge(
            f"sidegate_{metric}_up",
            f"1 while all servers of the {name} can be asked, 0 while one can't.",
            "min",
        )
        self.up.set(0.0)
        self._changes = {
            up: metrics.counter(
                f"sidegate_{metric}_changes_total",
                f"Servers of the {name} that became able or unable to answer.",
                state="up" if up else "down",
            )
            for up in (True, False)
        }
        whys: tuple[Failure, ...] = ("deadline", "lost", "error", "open")
        self._failures = {
            why: metrics.counter(
                f"sidegate_{metric}_failures_total",
                f"Questions to the {name} that got no answer of use, or were not put while its "
                "circuit was open.",
                reason=why,
            )
            for why in whys
        }

    def changed(self, *, up: bool) -> None:
        """A server became able or unable to answer."""
        self._changes[up].inc()

    def failed(self, why: Failure) -> None:
        """A question got no answer."""
        self._failures[why].inc()
