"""One try with a bounded time, of which the service can be told."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from proxy.asking import Asked, Inside, PatientAsker, Pending, Time, ask_through, pending
from proxy.config.upstream import UpstreamTimeouts
from proxy.contract import DEADLINE, Handler, Request, Response
from proxy.errors import Unanswered


class TimedTry:
    """Asks by `ask`, for no longer than `per_try`. clock: monotonic seconds."""

    def __init__(self, ask: Handler, options: UpstreamTimeouts, clock: Callable[[], float]) -> None:
        self._inside = Inside(ask)
        self._seconds = options.per_try or inf
        self._field = options.tell
        self._clock = clock

    async def __call__(self, request: Request) -> Response:
        """Ask. Raises Unanswered `upstream_timeout` when the time of the try is over."""
        return await pending(self._ask(request, None))

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        """Ask at once where that can be."""
        return self._ask(request, asker)

    def answered(self, ticket: Time | None, request: Request, response: Response) -> Response:
        """It came in time."""
        self._tell_no_more(request)
        return response

    def failed(self, ticket: Time | None, request: Request, error: BaseException) -> Response:
        """It may have taken too long."""
        self._tell_no_more(request)
        if ticket is not None and isinstance(error, TimeoutError):
            raise Unanswered("upstream_timeout", cause="the try took too long") from None
        raise error

    def _tell_no_more(self, request: Request) -> None:
        """Another upstream that is asked instead may give it other times, and tell of none."""
        if self._field is not None:
            request.headers.remove(self._field.lower())

    def _ask(self, request: Request, asker: PatientAsker | None) -> Asked | Pending:
        seconds = self._seconds
        if self._field is not None:
            left = request.state.get(DEADLINE, inf) - self._clock()
            rest = min(seconds, left)
            if rest < inf:
                request.headers.set(self._field, str(max(1, int(rest * 1000))))
            else:
                # What a client says there is not what will be waited.
                request.headers.remove(self._field.lower())
        time = None if seconds == inf else Time(seconds)
        return ask_through(self, time, self._inside, request, asker, time)
