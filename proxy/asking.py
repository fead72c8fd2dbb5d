"""The seam between whoever asks an upstream and the connection that is asked.

May live here: who is told what, and the form for a coroutine that waits. Must not live here:
how an upstream is asked (`connection`, `forward`), or what becomes of the answer.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, runtime_checkable

from proxy.contract import Exchange, Handler, Request, Response
from proxy.errors import GatewayError
from proxy.http1.headers import Headers


class Asker(Protocol):
    """Who asked, and is told what comes of it: interim responses, then one of the others."""

    def interim(self, status: int, headers: Headers) -> None:
        """An interim response (1xx) came."""
        ...

    def answered(self, response: Response) -> None:
        """The head of the response is here, with its body or the beginning of one."""
        ...

    def failed(self, error: GatewayError) -> None:
        """There will be no response."""
        ...


class Asked(Protocol):
    """An exchange with an upstream that goes on."""

    def abort(self, reason: str, asker: Asker | None = None) -> None:
        """Break it off, if it is still this asker's; `reason` labels a metric."""
        ...


@runtime_checkable
class Prompt(Protocol):
    """A handler that can also ask without waiting."""

    async def __call__(self, request: Request) -> Response:
        """Ask and wait."""
        ...

    def ask_now(self, request: Request, asker: Asker) -> Asked | None:
        """Ask at once, if that needs no waiting; else None, with nothing done.

        Raises GatewayError when asking fails at once.
        """
        ...

    def ask_again(self, request: Request, error: GatewayError) -> Handler | None:
        """How to ask once more when asking failed; None when the failure stands."""
        ...


class Awaited:
    """An asker for a coroutine, which awaits `future`. exchange: hears interim responses."""

    __slots__ = ("future", "interim")

    def __init__(self, loop: asyncio.AbstractEventLoop, exchange: Exchange) -> None:
        self.future: asyncio.Future[Response] = loop.create_future()
        self.interim = exchange.interim

    def answered(self, response: Response) -> None:
        """Give the response to who waits, if anybody still does."""
        if not self.future.done():
            self.future.set_result(response)

    def failed(self, error: GatewayError) -> None:
        """Raise the error where somebody waits."""
        if not self.future.done():
            self.future.set_exception(error)
