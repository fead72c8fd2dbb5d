"""The addresses that an instance listens on, from one configuration to the next.

Their sockets are held here for as long as they are configured, whoever accepts from them: a
process that crashes leaves its share behind with all connections that wait in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from proxy.server.sockets import Bound, bind


class Addresses:
    """What is listened on. count: of the processes that accept."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self._loop = loop
        self._count = count
        self.bound: dict[str, Bound] = {}

    @property
    def shown(self) -> list[str]:
        """The addresses as bound, in order."""
        return sorted(bound.shown for bound in self.bound.values())

    async def open(self, listen: Iterable[str]) -> dict[str, Bound]:
        """Listen on those that are new. Raises ListenError, and then none is open."""
        opened: dict[str, Bound] = {}
        held = {int(bound.port) for bound in self.bound.values() if bound.port}
        try:
            for text in listen:
                if text not in self.bound and text not in opened:
                    opened[text] = await bind(self._loop, text, count=self._count, held=held)
        except BaseException:
            close(opened)
            raise
        return opened

    def replace(self, listen: Iterable[str], opened: Mapping[str, Bound]) -> None:
        """Hold exactly the addresses in `listen`, those just opened among them."""
        self.bound.update(opened)
        wanted = set(listen)
        for text in [text for text in self.bound if text not in wanted]:
            self.bound.pop(text).close()

    def close(self) -> None:
        """Let go of all; they stay open where other processes have them."""
        close(self.bound)
        self.bound.clear()


def close(bound: Mapping[str, Bound]) -> None:
    """Let go of what was opened."""
    for one in bound.values():
        one.close()
