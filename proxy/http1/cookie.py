"""Cookies of a request (RFC 6265, 4.2): reading one value by its name. Nothing is decoded."""

from __future__ import annotations

from proxy.http1.headers import Headers, encode


def cookie_value(headers: Headers, name: str) -> bytes | None:
    """The value of the first cookie of this name, quotes included; None when there is none."""
    line = headers.raw("cookie")
    if line is None:
        return None
    wanted = encode(name)
    for pair in line.split(b";"):
        key, found, value = pair.partition(b"=")
        if found and key.strip() == wanted:
            return value.strip()
    return None
