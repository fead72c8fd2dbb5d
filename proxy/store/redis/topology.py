"""Which server is asked about which key: one, the master that Sentinels know, or a cluster.

May live here: where servers are, and how a change of that is noticed. Must not live here: what
is asked, or how. All of it is found out in the background, and no request waits for it.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from proxy.config.address import Address
from proxy.config.store import RedisOptions, locate, read_node
from proxy.store.redis.access import CONNECT_SECONDS, FAILURES, Access, Unfit, ask_once, reason
from proxy.store.redis.node import Node

SLOTS: Final = 16384

# How often Sentinels and clusters are asked whether anything has changed.
_CHECK_SECONDS: Final = 2.0
# Answers that say the question went to the wrong place bring up the next check, but not more
# often than this.
_CHECK_PAUSE: Final = 0.1

Spawn = Callable[[Coroutine[Any, Any, None]], object]
Told = Callable[[Node, str], None]


class Topology(Protocol):
    """The servers of a store."""

    def start(self) -> None:
        """Connect, in the background."""
        ...

    def node(self, slot: int) -> Node | None:
        """The server that has the keys of a slot; None while nobody has."""
        ...

    def at(self, host: str, port: int) -> Node | None:
        """The server at an address that another one named."""
        ...

    def doubt(self) -> None:
        """A server says that things aren't where they were."""
        ...

    def nodes(self) -> Sequence[Node]:
        """All servers that are asked."""
        ...

    def close(self) -> None:
        """Drop all connections."""
        ...


def slot_of(tag: bytes) -> int:
    """The slot of all keys with this hash tag."""
    return binascii.crc_hqx(tag, 0) % SLOTS


def make_topology(
    options: RedisOptions,
    access: Access,
    loop: asyncio.AbstractEventLoop,
    spawn: Spawn,
    told: Told,
) -> Topology:
    """The servers that options name. told: hears of changes, as in `Node`."""
    if options.cluster:
        seeds = [read_node(text) for text in options.cluster]
        return Cluster(seeds, access, loop, spawn, told)
    if options.sentinels:
        return Master(_Sentinels(options, access, loop), access, loop, spawn, told)
    if options.url is None:
        raise ValueError("no server is named")
    address = locate(options.url).address

    async def always() -> Address:
        return address

    return Single(Node(loop, access, always, spawn, told))


class Single:
    """One server for everything."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def start(self) -> None:
        """Connect, in the background."""
        self._node.start()

    def node(self, slot: int) -> Node | None:
        """The server."""
        return self._node

    def at(self, host: str, port: int) -> Node | None:
        """Nobody else is asked."""
        return None

    def doubt(self) -> None:
        """There is no other place."""

    def nodes(self) -> Sequence[Node]:
        """The server."""
        return [self._node]

    def close(self) -> None:
        """Drop the connection."""
        self._node.close()


class _Sentinels:
    """Asks Sentinels for the master."""

    def __init__(
        self, options: RedisOptions, access: Access, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._addresses = [read_node(text) for text in options.sentinels]
        self._access = replace(
            access,
            username=options.sentinel_username,
            password=options.sentinel_password,
            database=0,
            master=False,
            patience=CONNECT_SECONDS,
        )
        self._name = options.master
        self._loop = loop

    async def master(self) -> Address:
        """Where the master is, by the first who knows. Raises Unfit."""
        why = f"no Sentinel knows a master {self._name!r}"
        for address in self._addresses:
            try:
                found = await ask_once(
                    self._loop, address, self._access, "SENTINEL", "GET-MASTER-ADDR-BY-NAME",
                    self._name,
                )  # fmt: skip
            except FAILURES as error:
                why = f"no Sentinel answers: {reason(error)}"
                continue
            if found:
                host, port = found
                return Address(scheme="redis", host=host.decode(), port=int(port))
        raise Unfit(why)


class Master(Single):
    """The master that Sentinels know; asked for anew before each connection, and now and then,
    since an old master may not know that it is none any more."""

    def __init__(
        self,
        sentinels: _Sentinels,
        access: Access,
        loop: asyncio.AbstractEventLoop,
        spawn: Spawn,
        told: Told,
    ) -> None:
        super().__init__(Node(loop, access, sentinels.master, spawn, told))
        self._sentinels = sentinels
        self._spawn = spawn
        self._doubted = asyncio.Event()
        self._ended = False

    def start(self) -> None:
        """Connect, in the background."""
        super().start()
        self._spawn(self._watch())

    def doubt(self) -> None:
        """Ask the Sentinels again."""
        self._doubted.set()

    def close(self) -> None:
        """Drop the connection."""
        super().close()
        self._ended = True
        self._doubted.set()

    async def _watch(self) -> None:
        while not self._ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._doubted.wait()
            self._doubted.clear()
            if self._node.usable and not self._ended:
                with contextlib.suppress(Unfit):
                    if await self._sentinels.master() != self._node.address:
                        self._node.give_up("another server is the master now")
            await asyncio.sleep(_CHECK_PAUSE)


class Cluster:
    """Servers that have some slots each, by the word of any of them."""

    def __init__(
        self,
        seeds: Sequence[Address],
        access: Access,
        loop: asyncio.AbstractEventLoop,
        spawn: Spawn,
        told: Told,
    ) -> None:
        self._seeds = list(seeds)
        self._access = access
        self._loop = loop
        self._spawn = spawn
        self._told = told
        self._slots: list[Node | None] = [None] * SLOTS
        self._nodes: dict[tuple[str, int], Node] = {}
        self._doubted = asyncio.Event()
        self._ended = False

    def start(self) -> None:
        """Find out who has what, in the background."""
        self._spawn(self._watch())

    def node(self, slot: int) -> Node | None:
        """The server that has a slot; None while nobody has."""
        return self._slots[slot]

    def at(self, host: str, port: int) -> Node | None:
        """The server at an address that another one named."""
        node = self._nodes.get((host, port))
        if node is None and not self._ended:
            address = Address(scheme="redis", host=host, port=port)

            async def always() -> Address:
                return address

            node = self._nodes[host, port] = Node(
                self._loop, self._access, always, self._spawn, self._changed
            )
            node.start()
        return node

    def doubt(self) -> None:
        """Find out anew."""
        self._doubted.set()

    def nodes(self) -> Sequence[Node]:
        """The servers that have slots."""
        return list(self._nodes.values())

    def close(self) -> None:
        """Drop all connections."""
        self._ended = True
        self._doubted.set()
        for node in self._nodes.values():
            node.close()

    def _changed(self, node: Node, why: str) -> None:
        self._told(node, why)
        if why:
            # Another one may take its place.
            self.doubt()

    async def _watch(self) -> None:
        while not self._ended:
            ranges = await self._ask()
            if ranges is not None and not self._ended:
                self._use(ranges)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS if ranges else _CHECK_PAUSE):
                    await self._doubted.wait()
            self._doubted.clear()
            await asyncio.sleep(_CHECK_PAUSE)

    async def _ask(self) -> list[tuple[int, int, str, int]] | None:
        """First slot, last slot, host and port of each range; None when nobody answers."""
        known = [node.address for node in self._nodes.values() if node.usable and node.address]
        for address in dict.fromkeys([*known, *self._seeds]):
            try:
                found = await ask_once(self._loop, address, self._access, "CLUSTER", "SLOTS")
            except FAILURES:
                continue
            # A server that was told no name of its own is where it was asked.
            return [
                (first, last, (served[0] or b"").decode() or address.host, served[1])
                for first, last, served, *_ in found
            ]
        return None

    def _use(self, ranges: list[tuple[int, int, str, int]]) -> None:
        slots: list[Node | None] = [None] * SLOTS
        serving: set[tuple[str, int]] = set()
        for first, last, host, port in ranges:
            node = self.at(host, port)
            serving.add((host, port))
            slots[first : last + 1] = [node] * (last + 1 - first)
        self._slots = slots
        for place in [place for place in self._nodes if place not in serving]:
            self._nodes.pop(place).close()
