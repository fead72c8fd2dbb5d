"""An upstream with several endpoints: an instance is the handler that policies wrap.

May live here: which seats are usable, which choice stands over them, what an outcome means
for the endpoint that gave it. Must not live here: how to choose (`balance`), how to ask
(`forward`), whether to ask again (the policy `retry`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from proxy.config.upstream import Balance
from proxy.contract import TRIED, Request, Response
from proxy.http1.cookie import cookie_value
from proxy.upstream.balance import Choice, Hashed, Lot, Ramp, RoundRobin, ewma, least_request, whole
from proxy.upstream.member import Seat

# A new endpoint begins with a tenth of its share.
_FIRST_PART: Final = 0.1

Key = Callable[[Request], bytes]


class Cluster:
    """Sends each request to one of its seats, by the choice that the user named.

    uniform: random numbers from 0 to less than 1. clock: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        seats: Sequence[Seat],
        balance: Balance,
        clock: Callable[[], float],
        uniform: Callable[[], float],
    ) -> None:
        self.name = name
        self.balance = balance
        self.seats = tuple(seats)
        self._clock = clock
        self._uniform = uniform
        self._key = read_key(balance.key) if balance.by == "hash" else None
        self._asked = 0
        self._choice = self._choose_among(self._usable())

    async def __call__(self, request: Request) -> Response:
        """Ask one endpoint. Raises GatewayError when it can't be reached or fails."""
        seat = self._seat(request)
        member = seat.member
        started = self._clock()
        self._asked += 1
        member.asked += 1
        try:
            response = await seat.ask(request)
        except Exception:
            now = self._clock()
            member.latency.failed(now, now - started)
            raise
        finally:
            self._asked -= 1
            member.asked -= 1
        now = self._clock()
        member.latency.observe(now, now - started)
        return response

    def _seat(self, request: Request) -> Seat:
        key = b"" if self._key is None else self._key(request)
        tried = request.state.get(TRIED)
        if tried is None:
            seat = self._choice.pick(key)
            if seat.pool.available:
                return seat
            # Another endpoint at once rather than a place in this one's queue.
            return self._choice.another(key, _is_full) or seat

        def skip(seat: Seat) -> bool:
            return seat.name in tried or _is_full(seat)

        return (
            self._choice.another(key, skip)
            or self._choice.another(key, lambda seat: seat.name in tried)
            or self._choice.pick(key)
        )

    def _usable(self) -> list[Seat]:
        """Those of the first priority."""
        first = min(seat.priority for seat in self.seats)
        return [seat for seat in self.seats if seat.priority == first]

    def _choose_among(self, seats: list[Seat]) -> Choice[Seat]:
        options, uniform = self.balance, self._uniform
        ramp: Ramp[Seat] = self._ramp if options.slow_start else whole
        if options.by == "hash":
            return Hashed(seats, options.bound, lambda: self._asked)
        if options.by == "round_robin":
            return RoundRobin(seats, uniform, ramp)
        if options.by == "random":
            return Lot(seats, uniform, ramp)
        return (ewma if options.by == "ewma" else least_request)(seats, uniform, ramp)

    def _ramp(self, seat: Seat) -> float:
        age = self._clock() - seat.member.since
        return min(1.0, max(_FIRST_PART, age / self.balance.slow_start))


def _is_full(seat: Seat) -> bool:
    return not seat.pool.available


def read_key(text: str) -> Key:
    """What requests are told apart by, from `client_ip`, `path`, `header:NAME`, `cookie:NAME`."""
    kind, _, name = text.partition(":")
    if kind == "path":
        return lambda request: request.path.encode("utf-8", "surrogateescape")
    lower = name.lower()

    def key(request: Request) -> bytes:
        value: bytes | None = None
        if kind == "header":
            value = request.headers.raw(lower)
        elif kind == "cookie":
            value = cookie_value(request.headers, name)
        return request.client_ip.encode() if value is None else value

    return key
