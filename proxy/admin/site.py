"""Where the admin API listens."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import hdrs, web

from proxy.admin.api import REFUSE
from proxy.wire.accept import Acceptor

_QUIET: Final[dict[str, Any]] = {"access_log": None}


class _Visitor(web.RequestHandler):
    """A connection. What comes by it and is no request is answered like any other error."""

    def __init__(self, server: web.Server, application: web.Application) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **_QUIET)
        self._refuse = application[REFUSE]

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer; the text of the exception would repeat what was sent, and more."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        response = self._refuse(request, exc)
        response.headers[hdrs.SERVER] = "sidegate"
        response.force_close()
        return response


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
    acceptors = [Acceptor(loop, lambda _: _Visitor(server, application), sock) for sock in sockets]
    for acceptor in acceptors:
        await acceptor.start()
    return AdminSite(address, runner, acceptors)
