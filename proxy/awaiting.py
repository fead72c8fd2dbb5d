"""What has to be waited for when a handler is asked: the coroutines of `asking`.

They are apart since that is compiled, and coroutines are left to the interpreter (see
pyproject.toml).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from proxy.contract import Handler, Request, Response

if TYPE_CHECKING:
    from proxy.asking import Around, Given, Time

T = TypeVar("T")


def idly(ask: Handler) -> Handler:
    """The handler as one that does nothing before it is awaited."""

    async def wait(request: Request) -> Response:
        return await ask(request)

    return wait


async def waited(
    around: Around[T], ticket: T, request: Request, inside: Given, time: Time | None = None
) -> Response:
    """What comes out when what is inside has to be waited for."""
    try:
        if isinstance(inside, Response):
            response = inside
        elif time is None:
            response = await inside
        else:
            async with asyncio.timeout_at(time.when) as time.timeout:
                response = await inside
    except BaseException as error:
        given = around.failed(ticket, request, error)
    else:
        given = around.answered(ticket, request, response)
    return given if isinstance(given, Response) else await given


async def ready(given: Given) -> Response:
    """As something to await."""
    return given if isinstance(given, Response) else await given
