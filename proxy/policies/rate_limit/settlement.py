"""What is settled once a request has been answered: costs of the response, requests that
don't count after all, places of those in flight."""

from __future__ import annotations

from asyncio import Transport
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, cast

from proxy.contract import BodyStream, Handler, Mode, Request, Response
from proxy.errors import GatewayError, Refused
from proxy.policies.rate_limit.groups import Taken
from proxy.wire.tunnel import Tunnel, TunnelEnd

STATE: Final = "rate_limit"
"""Where a request carries what was taken for it."""


class Guard:
    """Checks requests, and settles what was taken for them, however they end.

    check: takes; gives why it refuses, or raises it, and may return something to await.
    """

    def __init__(
        self,
        name: str,
        mode: Mode,
        check: Callable[[Request], Awaitable[Refused | None] | Refused | None],
    ) -> None:
        self._name = name
        self._shadow = mode == "shadow"
        self._check = check

    def wrap(self, forward: Handler) -> Handler:
        """A handler that admits or refuses, and settles afterwards."""

        async def handle(request: Request) -> Response:
            await self._admit(request)
            taken: Sequence[Taken] = request.state.get(STATE, ())
            unsettled = [one for one in taken if one.group.unsettled]
            try:
                response = await forward(request)
            except BaseException as error:
                _failed(unsettled, error)
                raise
            _answered(unsettled, response)
            return response

        return handle

    async def _admit(self, request: Request) -> None:
        try:
            verdict = self._check(request)
            if verdict is not None and not isinstance(verdict, Refused):
                verdict = await verdict
            if verdict is not None:
                raise verdict.again()
        except Refused as refusal:
            if not self._shadow:
                request.decide(self._name, "refused", refusal.code)
                raise
            request.decide(self._name, "would_refuse", refusal.code)
        except Exception as error:
            if not self._shadow:
                raise
            request.decide(self._name, "would_fail", type(error).__name__)
        else:
            request.decide(self._name, "admitted")


def _failed(unsettled: Sequence[Taken], error: BaseException) -> None:
    status = 500 if isinstance(error, Exception) else 0
    if isinstance(error, GatewayError):
        status = error.status
    for taken in unsettled:
        if taken.group.in_flight:
            taken.undo()
        elif status:
            # Who breaks a request off before it is answered doesn't get it back: that would be
            # a way to try passwords for nothing.
            taken.answered(status)


def _answered(unsettled: Sequence[Taken], response: Response) -> None:
    lasting = []
    for taken in unsettled:
        if taken.group.in_flight:
            lasting.append(taken)
            continue
        taken.answered(response.status)
        counts = taken.group.statuses is None or response.status in taken.group.statuses
        if counts and taken.group.by_bytes:
            lasting.append(taken)
        elif counts and taken.group.later:
            taken.charge(taken.group.cost_of(response))
    if not lasting:
        return
    ending = _Ending(lasting)
    if response.tunnel is not None:
        # Where no tunnel comes about, the body is what is closed.
        response.tunnel = _WatchedEnd(cast("TunnelEnd", response.tunnel), ending)
        response.body = _WatchedBody(_Nothing(), ending)
    elif isinstance(response.body, bytes):
        ending.end(len(response.body))
    else:
        response.body = _WatchedBody(response.body, ending)


class _Ending:
    """Settles what lasts until the end of a response, once."""

    def __init__(self, taken: Sequence[Taken]) -> None:
        self._taken = taken

    def end(self, size: int) -> None:
        """It has ended, after so many bytes of its body."""
        taken, self._taken = self._taken, ()
        for one in taken:
            if one.group.in_flight:
                one.undo()
            else:
                one.charge(size)


class _WatchedBody:
    """A body that tells when it ends."""

    def __init__(self, body: BodyStream, ending: _Ending) -> None:
        self._body = body
        self._ending = ending
        self._size = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._body.__anext__()
        except BaseException:
            self._ending.end(self._size)
            raise
        self._size += len(piece)
        return piece

    async def aclose(self) -> None:
        self._ending.end(self._size)
        await self._body.aclose()


class _Nothing:
    """A body without a piece."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        return None


class _WatchedEnd:
    """The upstream's end of a tunnel, which tells when the tunnel ends."""

    def __init__(self, end: TunnelEnd, ending: _Ending) -> None:
        self._end = end
        self._ending = ending

    @property
    def transport(self) -> Transport | None:
        """Where its bytes go."""
        return self._end.transport

    def join(self, tunnel: Tunnel) -> bytes:
        """Send everything from now on to the tunnel."""
        tunnel.at_end(lambda: self._ending.end(tunnel.sent))
        return self._end.join(tunnel)
