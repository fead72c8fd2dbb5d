"""Which cache directives of a response count: the most narrowly aimed (RFC 9213). Pure.

Behind the fields of that RFC stands an older one that many services send together with
Surrogate-Key: Surrogate-Control (W3C note Edge Architecture, 2001). Each of its directives
may name one cache that it is for; what is written of them in any other form than that of the
RFC is no word to this one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from proxy.http1.cache_control import NO_DIRECTIVES, Directives, read_directives, read_targeted
from proxy.http1.headers import Headers
from proxy.http1.members import split_members

TARGETS: Final = ("sidegate-cache-control", "cdn-cache-control")
"""Fields aimed at this cache, the nearest first."""
SURROGATE: Final = "sidegate"
"""How Surrogate-Control may name this cache."""


class Control(NamedTuple):
    """The directives of a response. targeted: they came in a field that is aimed at this cache,
    so that Cache-Control and Expires say nothing to it (RFC 9213, 2.2)."""

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
    value = headers.raw("surrogate-control")
    if value is not None:
        targeted = _for_this_one(value)
        if targeted is not None:
            return Control(targeted, True)
    value = headers.raw("cache-control")
    return Control(NO_DIRECTIVES if value is None else read_directives(value), False)


def _for_this_one(value: bytes) -> Directives | None:
    """The directives of Surrogate-Control that are for all caches, or for this one; None when
    none are."""
    kept: dict[str, list[str]] = {"": [], SURROGATE: []}
    for member in split_members(value.decode("latin-1"))[0]:
        directive, _, target = member.partition(";")
        kept.get(target.strip(" \t"), []).append(directive)
    # Of several the last counts, and what is for this one counts before what is for all.
    return read_targeted(", ".join(kept[""] + kept[SURROGATE]).encode("latin-1"))


def request_control(headers: Headers) -> Directives:
    """The directives of a request; a lone `Pragma: no-cache` is one (RFC 9111, 5.4)."""
    value = headers.raw("cache-control")
    if value is not None:
        return read_directives(value)
    pragma = headers.raw("pragma")
    if pragma is not None and "no-cache" in read_directives(pragma):
        return read_directives(b"no-cache")
    return NO_DIRECTIVES
