"""Which cache directives of a response count: the most narrowly aimed (RFC 9213). Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from proxy.http1.cache_control import NO_DIRECTIVES, Directives, read_directives, read_targeted
from proxy.http1.headers import Headers

TARGETS: Final = ("sidegate-cache-control", "cdn-cache-control")
"""Fields aimed at this cache, the nearest first."""


class Control(NamedTuple):
    """The directives of a response. targeted: they came in a field of `TARGETS`, so that
    Cache-Control and Expires say nothing to this cache (RFC 9213, 2.2)."""

    directives: Directives
    targeted: bool


def control_of(headers: Headers) -> Control:
    """The directives that count."""
    for key in TARGETS:
        value = headers.raw(key)
        if value is not None:
            targeted = read_targeted(value)
            if targeted is not None:
                return Control(targeted, True)
    value = headers.raw("cache-control")
    return Control(NO_DIRECTIVES if value is None else read_directives(value), False)


def request_control(headers: Headers) -> Directives:
    """The directives of a request; a lone `Pragma: no-cache` is one (RFC 9111, 5.4)."""
    value = headers.raw("cache-control")
    if value is not None:
        return read_directives(value)
    pragma = headers.raw("pragma")
    if pragma is not None and "no-cache" in read_directives(pragma):
        return read_directives(b"no-cache")
    return NO_DIRECTIVES
