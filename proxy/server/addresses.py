"""The addresses that an instance listens on, from one configuration to the next.

Their sockets are held here for as long as they are configured, whoever accepts from them: a
process that crashes leaves its share behind with all connections that wait in it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping

from proxy.server.sockets import Bound, ListenError, bind, claim


class Addresses:
    """What is listened on. setting: that says so. count: of the processes that accept.

    inherited: sockets that another process has handed over, by configured address. loose:
    those of which only their own name tells what they are for. Both are used before any
    address is bound anew.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        setting: str,
        count: int,
        inherited: Mapping[str, Bound],
        loose: list[socket.socket],
    ) -> None:
        self._loop = loop
        self._setting = setting
        self._count = count
        self._inherited = dict(inherited)
        self._loose = loose
        self.bound: dict[str, Bound] = {}

    @property
    def shown(self) -> list[str]:
        """The addresses as bound, in order."""
        return sorted(bound.shown for bound in self.bound.values())

    async def open(self, listen: Iterable[str]) -> dict[str, Bound]:
        """Listen on those that are new. Raises ListenError, and then none is open."""
        opened: dict[str, Bound] = {}
        known = [*self.bound.values(), *self._inherited.values()]
        held = {int(bound.port) for bound in known if bound.port}
        try:
            for text in listen:
                if text not in self.bound and text not in opened:
                    opened[text] = await self._open(text, held)
        except BaseException:
            close(opened)
            raise
        return opened

    async def _open(self, text: str, held: set[int]) -> Bound:
        if text in self._inherited:
            return self._inherited.pop(text)
        claimed = await claim(self._loop, text, self._loose)
        if claimed is not None:
            return claimed
        try:
            return await bind(self._loop, text, count=self._count, held=held)
        except ListenError as error:
            raise ListenError(f"{self._setting}: {error}") from None

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
        self.disclaim()

    def disclaim(self) -> None:
        """Let go of what was inherited and is not configured."""
        close(self._inherited)
        self._inherited.clear()


def close(bound: Mapping[str, Bound]) -> None:
    """Let go of what was opened."""
    for one in bound.values():
        one.close()
