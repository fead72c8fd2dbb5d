"""Keeps a client at its endpoint by a cookie that says which one, and only to Sidegate.

The cookie's value is a keyed hash of the endpoint: it names no address, and nobody without
the secret can make one, so that no client chooses its endpoint. All replicas with the same
secret understand each other's cookies.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Final

from proxy.config.upstream import Sticky as Options
from proxy.contract import Request, Response
from proxy.http1.cache_control import read_directives
from proxy.http1.cookie import cookie_value
from proxy.http1.headers import Headers
from proxy.upstream.member import Seat

_TARGETED: Final = ("sidegate-cache-control", "cdn-cache-control")


class Sticky:
    """Reads and sets the cookie of one upstream."""

    def __init__(self, upstream: str, options: Options) -> None:
        self._upstream = upstream
        self._name = options.cookie
        self._secret = options.secret.encode()
        self._tail = "; Path=/; HttpOnly; SameSite=Lax"
        if options.max_age is not None:
            self._tail = f"; Max-Age={int(options.max_age)}{self._tail}"
        self._seats: dict[bytes, Seat] = {}
        self._values: dict[str, str] = {}

    def update(self, seats: Iterable[Seat]) -> None:
        """These seats are there now."""
        self._values = {seat.name: self._value(seat.name) for seat in seats}
        self._seats = {self._values[seat.name].encode(): seat for seat in seats}

    def seat(self, request: Request) -> Seat | None:
        """The seat that the request's cookie names, if that is still there and fit."""
        value = cookie_value(request.headers, self._name)
        seat = None if value is None else self._seats.get(value)
        return seat if seat is not None and seat.member.usable and seat.free else None

    def mark(self, request: Request, response: Response, seat: Seat) -> None:
        """Tell the client where it is, unless it knows."""
        value = self._values.get(seat.name)
        if value is None or cookie_value(request.headers, self._name) == value.encode():
            return
        if _is_for_all(response.headers):
            # A cache would give the cookie to everybody, and all clients to one endpoint.
            return
        secure = "; Secure" if request.scheme == "https" else ""
        response.headers.add("Set-Cookie", f"{self._name}={value}{self._tail}{secure}")

    def _value(self, name: str) -> str:
        text = f"{self._upstream}\n{name}".encode()
        return hmac.new(self._secret, text, "sha256").hexdigest()[:32]


def _is_for_all(headers: Headers) -> bool:
    """The service says that shared caches may keep the response."""
    if any(name in headers for name in _TARGETED):
        return True
    value = headers.raw("cache-control")
    if value is None:
        return "expires" in headers
    control = read_directives(value)
    if any(control.bare(name) for name in ("no-store", "private", "no-cache")):
        return False
    return "public" in control or bool(control.seconds("s-maxage") or control.seconds("max-age"))
