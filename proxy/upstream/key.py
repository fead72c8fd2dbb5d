"""What requests are told apart by, where those of one client or one thing belong together."""

from __future__ import annotations

from collections.abc import Callable

from proxy.contract import Request
from proxy.http1.cookie import cookie_value

Key = Callable[[Request], bytes]


def read_key(text: str) -> Key:
    """From `client_ip`, `path`, `header:NAME` or `cookie:NAME`; requests without the field or
    cookie go by the client's address."""
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
