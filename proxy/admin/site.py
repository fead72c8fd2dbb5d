"""Where the admin API listens."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

from aiohttp import web

from proxy.wire.accept import Acceptor


class AdminSite:
    """The admin API on the sockets of one address.

    address: as bound, empty when it is turned off.
    """

    def __init__(
        self,
        address: str = "",
        runner: web.AppRunner | None = None,
        acceptors: Iterable[Acceptor] = (),
    ) -> None:
        self.address = address
        self._runner = runner
        self._acceptors = tuple(acceptors)

    async def close(self) -> None:
        """Stop listening; requests in progress end first."""
        for acceptor in self._acceptors:
            acceptor.close()
        if self._runner is not None:
            await self._runner.cleanup()


async def open_site(
    application: web.Application, sockets: Iterable[socket.socket], address: str
) -> AdminSite:
    """Serve on listening sockets, which are closed with the site."""
    loop = asyncio.get_running_loop()
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=2)
    await runner.setup()
    server = runner.server
    if server is None:
        raise RuntimeError("the runner was not set up")
    acceptors = [Acceptor(loop, lambda _: server(), sock) for sock in sockets]
    for acceptor in acceptors:
        await acceptor.start()
    return AdminSite(address, runner, acceptors)
