"""Sends copies of requests to another upstream, whose answers nobody gets."""

from __future__ import annotations

import asyncio
from typing import Final

from pydantic import ConfigDict, Field

from proxy.asking import Asked, Asking, Inside, PatientAsker, Pending, ask_through
from proxy.config.units import Duration, Share, Size
from proxy.contract import (
    NO_EXCHANGE,
    NO_TRACE,
    TRIED,
    Counter,
    Handler,
    PolicyOptions,
    PolicySpec,
    Request,
    Response,
    Toolkit,
)
from proxy.errors import GatewayError

_NONE: Final = "none"


class Options(PolicyOptions):
    """Send a copy of a share of the requests to another upstream, to see how it does.

    Clients get their answer from the route's own upstream and never wait for the copy. Answers
    to copies are dropped; metrics compare their status with that of the real one. Copies are
    sent when the real answer is there, with the field `X-Mirrored: true`. Requests with a
    streaming body are not copied.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"upstream": "candidate"},
                {"upstream": "candidate", "share": "5%", "methods": ["GET", "POST"]},
            ]
        }
    )

    upstream: str
    """The upstream that gets the copies, a key of `upstreams`."""
    share: Share = Field(default=1.0, gt=0, le=1)
    """Of the requests, drawn by lot."""
    methods: tuple[str, ...] = ("GET", "HEAD")
    """Methods of requests that are copied. What others do would be done twice."""
    most: int = Field(default=50, ge=1, le=10_000)
    """Copies under way at once; while there are so many, others aren't sent."""
    body: Size = Field(default=64 * 1024, le=16 * 1024 * 1024)
    """Requests with a larger body aren't copied."""
    timeout: Duration = Field(default=10.0, gt=0, le=300)
    """How long a copy's answer may take."""


class Mirror:
    """Copies requests once they are answered."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        if options.upstream == toolkit.target.name:
            raise ValueError(f'"{options.upstream}" gets the requests anyway; name another one')
        self._ask = toolkit.ask(options.upstream)
        self._name = options.upstream
        self._threshold = int(options.share * 2**32)
        self._methods = frozenset(options.methods)
        self._body = options.body
        self._most = options.most
        self._timeout = options.timeout
        self._shadow = options.mode == "shadow"
        self._random = toolkit.random
        self._spawn = toolkit.spawn
        self._metrics = toolkit.metrics
        self._under_way = 0
        self._compared: dict[tuple[str, str], Counter] = {}
        self._skipped = toolkit.metrics.counter(
            "sidegate_mirror_skipped_total",
            "Copies that weren't sent because too many were under way.",
            upstream=self._name,
        )

    def wrap(self, forward: Handler) -> Handler:
        """A handler that answers as ever, and copies."""
        return Asking(self.ask, forward)

    def ask(self, request: Request, inside: Inside, asker: PatientAsker | None) -> Asked | Pending:
        """Ask `inside`, for whose answer the copy waits."""
        copy = None
        if self._chosen(request):
            if self._shadow:
                request.decide("mirror", "would_change", self._name)
            else:
                # As it is now; the upstream's own handlers may change it.
                copy = self._copy(request)
        return ask_through(self, copy, inside, request, asker)

    def answered(self, ticket: Request | None, request: Request, response: Response) -> Response:
        """The copy is sent. ticket: that copy, if there is to be one."""
        if ticket is not None:
            self._send(ticket, response.status)
        return response

    def failed(self, ticket: Request | None, request: Request, error: BaseException) -> Response:
        """So it is when the service fails."""
        if ticket is not None and isinstance(error, GatewayError):
            self._send(ticket, error.status)
        raise error

    def _chosen(self, request: Request) -> bool:
        body = request.body
        if request.method not in self._methods or request.upgrade:
            return False
        if not isinstance(body, bytes) or len(body) > self._body:
            return False
        return int.from_bytes(self._random(4), "little") < self._threshold

    def _copy(self, request: Request) -> Request:
        copy = request.copy()
        copy.state = {name: value for name, value in request.state.items() if name != TRIED}
        copy.exchange = NO_EXCHANGE
        # The original's times, its span and its log line are its own.
        copy.timings = type(request.timings)(request.timings.received)
        copy.trace = NO_TRACE
        copy.headers.set("X-Mirrored", "true")
        return copy

    def _send(self, copy: Request, status: int) -> None:
        if self._under_way >= self._most:
            self._skipped.inc()
            return
        self._under_way += 1
        self._spawn(self._ask_and_compare(copy, status))

    async def _ask_and_compare(self, copy: Request, status: int) -> None:
        theirs = _NONE
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._ask(copy)
                theirs = f"{response.status // 100}xx"
                if not isinstance(response.body, bytes):
                    await response.body.aclose()
        except (GatewayError, TimeoutError):
            pass
        finally:
            self._under_way -= 1
        self._count(f"{status // 100}xx", theirs)

    def _count(self, ours: str, theirs: str) -> None:
        cell = self._compared.get((ours, theirs))
        if cell is None:
            cell = self._compared[ours, theirs] = self._metrics.counter(
                "sidegate_mirrored_total",
                "Copies of requests, by the class of status of the answer and of the copy's.",
                upstream=self._name,
                status=ours,
                mirrored=theirs,
            )
        cell.inc()


POLICY = PolicySpec(
    "mirror", Options, Mirror, after={"*"}, before={"deadline", "retry"}, shorthand="upstream"
)
