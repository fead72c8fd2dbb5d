"""What has to be waited for on the way through a level: its coroutines.

They are apart from `level` and `chain` since those are compiled, and coroutines are left to
the interpreter (see pyproject.toml).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from proxy.contract import BodyStream, Handler, Refused, Request, Response

if TYPE_CHECKING:
    from proxy.runtime.chain import Verdicts
    from proxy.runtime.level import Catch, Level

Check = Callable[[Request], Coroutine[Any, Any, Refused | None]]
"""A gate that always waits."""


async def go_through(level: Level, request: Request) -> Response:
    """Go down, wait for what is inside, and come up."""
    given = level.descend(request)
    if given is None:
        return await level.go_on(request, level.inside.ask(request))
    return given if isinstance(given, Response) else await given


async def wait(
    level: Level, request: Request, given: Awaitable[Response], catch: Catch | None, resume: int
) -> Response:
    """Go on upwards with what a step gave. catch, resume: as they hold there."""
    try:
        response = await given
        if not isinstance(response, Response):
            raise TypeError(f"a policy answered with {type(response).__name__}")
    except Exception as error:
        out = level.recover(request, error, catch)
    else:
        out = level.climb(request, response, resume)
    return out if isinstance(out, Response) else await out


async def let_go(
    level: Level, request: Request, body: BodyStream, error: Exception, catch: Catch | None
) -> Response:
    """Nobody will read the body of a response that failed on its way."""
    await body.aclose()
    out = level.recover(request, error, catch)
    return out if isinstance(out, Response) else await out


def gated(check: Check, verdicts: Verdicts, forward: Handler) -> Handler:
    """A gate that always waits, around what stands inside of it."""

    def handle(request: Request) -> Awaitable[Response]:
        return admit_late(request, check(request), verdicts, forward)

    return handle


async def admit_late(
    request: Request, waits: Awaitable[Refused | None], verdicts: Verdicts, inside: Handler
) -> Response:
    """Wait for a gate, and answer from inside of it."""
    try:
        verdict = await waits
    except Exception as error:
        if not verdicts.tolerates(request, error):
            raise
    else:
        refused = verdicts.standing(request, verdict)
        if refused is not None:
            raise refused.again()
    return await inside(request)
