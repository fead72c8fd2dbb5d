"""One try with a bounded time, of which the service can be told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from proxy.config.upstream import UpstreamTimeouts
from proxy.contract import DEADLINE, Handler, Request, Response
from proxy.errors import Unanswered


class TimedTry:
    """Asks by `ask`, for no longer than `per_try`. clock: monotonic seconds."""

    def __init__(self, ask: Handler, options: UpstreamTimeouts, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._seconds = options.per_try or inf
        self._field = options.tell
        self._clock = clock

    async def __call__(self, request: Request) -> Response:
        """Ask. Raises Unanswered `upstream_timeout` when the time of the try is over."""
        seconds = self._seconds
        if self._field is not None:
            left = request.state.get(DEADLINE, inf) - self._clock()
            rest = min(seconds, left)
            if rest < inf:
                request.headers.set(self._field, str(max(1, int(rest * 1000))))
            else:
                # What a client says there is not what will be waited.
                request.headers.remove(self._field.lower())
        if seconds == inf:
            return await self._ask(request)
        try:
            async with asyncio.timeout(seconds):
                return await self._ask(request)
        except TimeoutError:
            raise Unanswered("upstream_timeout", cause="the try took too long") from None
