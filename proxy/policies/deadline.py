"""Bounds how long an answer may take in all: every try, every wait between them, and the body."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from proxy.asking import Asked, Asking, Inside, PatientAsker, Pending, Time, ask_through
from proxy.config.units import Duration
from proxy.contract import (
    DEADLINE,
    LATE,
    BodyStream,
    Handler,
    PolicyOptions,
    PolicySpec,
    Request,
    Response,
    Toolkit,
)
from proxy.errors import GatewayError
from proxy.http1.field import check_name

_NUMBER: Final = re.compile(rb"[0-9]{1,12}(\.[0-9]{1,9})?")
_GRPC: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_GRPC_UNITS: Final = {
    b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9,
}  # fmt: skip


class Options(PolicyOptions):
    """Answer within a time, or with 504 `deadline_exceeded`.

    The time begins when the other policies have let the request through, and ends with the
    last byte of the response; a response that has begun by then is broken off. A caller that
    waits less long may say so in a field. `upstreams.*.timeouts.tell` tells the service what
    is left.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": ["5s", {"timeout": "10s", "header": "X-Request-Timeout-Ms"}]}
    )

    timeout: Duration | None = Field(default=None, gt=0)
    """For the answer as a whole. When it passes before there is one, breakers and ejections count
    that against the service; a caller's own impatience isn't counted."""
    header: Annotated[str, AfterValidator(check_name)] | None = None
    """Request field in which a caller says how long it waits. It can only shorten `timeout`."""
    unit: Literal["milliseconds", "seconds", "grpc"] = "milliseconds"
    """How the field is written; `grpc` as in `grpc-timeout: 100m`."""
    accept: Literal["trusted", "any"] = "trusted"
    """Whose field counts: that of peers in `server.trusted_proxies`, or anybody's."""

    @model_validator(mode="after")
    def _fits(self) -> Options:
        if self.timeout is None and self.header is None:
            raise ValueError("bounds nothing; give `timeout` or `header`")
        return self


class Deadline:
    """Stands around all tries."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._timeout = options.timeout
        self._header = (options.header or "").lower()
        self._read = _READERS[options.unit]
        self._any = options.accept == "any"
        self._shadow = options.mode == "shadow"
        self._clock = toolkit.clock

    def wrap(self, forward: Handler) -> Handler:
        """A handler that answers in time, or raises GatewayError `deadline_exceeded`."""
        return Asking(self.ask, forward)

    def ask(self, request: Request, inside: Inside, asker: PatientAsker | None) -> Asked | Pending:
        """Ask `inside` as long as there is time."""
        seconds = self._seconds(request)
        if seconds is None:
            return ask_through(self, None, inside, request, asker)
        end = self._clock() + seconds
        if self._shadow:
            return ask_through(self, end, inside, request, asker)
        time = Time(seconds)
        request.state[DEADLINE] = end
        if seconds == self._timeout:
            # That a caller has less patience is not the service's fault.
            request.state[LATE] = time.expired
        return ask_through(self, end, inside, request, asker, time)

    def answered(self, ticket: float | None, request: Request, response: Response) -> Response:
        """It begins in time. ticket: when that is over, in monotonic seconds."""
        if ticket is None:
            return response
        if self._shadow:
            if self._clock() > ticket:
                request.decide("deadline", "would_refuse", "deadline_exceeded")
            return response
        _forget(request)
        if not isinstance(response.body, bytes):
            response.body = _Timed(response.body, ticket, self._clock)
        return response

    def failed(self, ticket: float | None, request: Request, error: BaseException) -> Response:
        """It may have taken too long."""
        if ticket is None or self._shadow:
            raise error
        _forget(request)
        if not isinstance(error, TimeoutError):
            raise error
        request.decide("deadline", "refused", "deadline_exceeded")
        raise GatewayError("deadline_exceeded") from None

    def _seconds(self, request: Request) -> float | None:
        """How long this request may take; None for as long as it likes."""
        seconds = self._timeout
        if self._header and (self._any or request.trusted):
            value = request.headers.raw(self._header)
            said = None if value is None else self._read(value)
            if said is not None:
                return said if seconds is None else min(said, seconds)
        return seconds


def _forget(request: Request) -> None:
    """Whoever is asked instead has time of their own."""
    request.state.pop(DEADLINE, None)
    request.state.pop(LATE, None)


class _Timed:
    """A body that has to end in time."""

    __slots__ = ("_body", "_clock", "_end")

    def __init__(self, body: BodyStream, end: float, clock: Callable[[], float]) -> None:
        self._body = body
        self._end = end
        self._clock = clock

    def __aiter__(self) -> _Timed:
        return self

    async def __anext__(self) -> bytes:
        try:
            async with asyncio.timeout(max(0.0, self._end - self._clock())):
                return await self._body.__anext__()
        except TimeoutError:
            await self._body.aclose()
            raise GatewayError("deadline_exceeded") from None

    async def aclose(self) -> None:
        await self._body.aclose()


def _milliseconds(value: bytes) -> float | None:
    return float(value) / 1000.0 if _NUMBER.fullmatch(value) else None


def _whole_seconds(value: bytes) -> float | None:
    return float(value) if _NUMBER.fullmatch(value) else None


def _grpc(value: bytes) -> float | None:
    match = _GRPC.fullmatch(value)
    return None if match is None else int(match[1]) * _GRPC_UNITS[match[2]]


_READERS: Final[dict[str, Callable[[bytes], float | None]]] = {
    "milliseconds": _milliseconds, "seconds": _whole_seconds, "grpc": _grpc,
}  # fmt: skip

POLICY = PolicySpec(
    "deadline", Options, Deadline, after={"*"}, before={"retry"}, shorthand="timeout"
)
