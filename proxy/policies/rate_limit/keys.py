"""Whose allowance a request uses: keys, and what each part of one is read from.

May live here: the names of parts, how a part is read, what a request counts as that lacks
one. Must not live here: what is counted, or where.

Keys are text that no client can make look like another's: what was read, what stood in for
what was missing, and the parts of a key of several are told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, Literal

from proxy.contract import Request
from proxy.http1.cookie import cookie_value
from proxy.http1.field import check_name
from proxy.http1.headers import decode
from proxy.http1.query import read_query

Missing = Literal["client_ip", "shared", "exempt"]
Read = Callable[[Request], str | None]

_ALONE: Final = ("client_ip", "global", "route", "identity")
_NAMED: Final = ("header", "cookie", "query", "path", "claim")
_ALWAYS: Final = ("client_ip", "global", "route")
# A longer value is hashed, so that keys don't take the memory of what clients send.
_VALUE_MAX: Final = 128
_NAME_MAX: Final = 128
_CLAIM_DEPTH: Final = 8


def check_part(text: str) -> str:
    """A part of a key, or ValueError with the fix."""
    kind, colon, name = text.partition(":")
    if (not colon and kind in _ALONE) or (kind in _NAMED and name):
        if kind == "header":
            check_name(name)
        elif kind in _NAMED and not (len(name) <= _NAME_MAX and name.isprintable()):
            raise ValueError(f"{text!r}: the name after {kind}: is not one")
        elif kind == "cookie" and not (name.isascii() and not set(name) & set('=;, "')):
            raise ValueError(f"{text!r}: {name!r} is no name of a cookie")
        return text
    if kind in _NAMED:
        raise ValueError(f"{text!r} names no {kind}; write {kind}:NAME")
    known = [*_ALONE, *(f"{kind}:NAME" for kind in _NAMED)]
    near = get_close_matches(kind, [*_ALONE, *_NAMED], n=1)
    if near:
        meant = f"{near[0]}:{name or 'NAME'}" if near[0] in _NAMED else near[0]
        raise ValueError(f"{text!r} is no part of a key; did you mean {meant}?")
    raise ValueError(f"{text!r} is no part of a key; there are {', '.join(known)}")


class Key:
    """Makes the key of a request. Call it: None when the request is exempt.

    parts: as the user writes them; named: those that have a value. missing: what a request
    counts as that lacks one. ipv4, ipv6: bits of an address that count.
    """

    def __init__(self, parts: Sequence[str], missing: Missing, ipv4: int, ipv6: int) -> None:
        self.parts = tuple(parts)
        self.named = tuple(part for part in parts if part != "global")
        self._missing = missing
        self._ipv4 = ipv4
        self._ipv6 = ipv6
        self._reads = tuple(self._reader(part) for part in parts)
        self._sure = tuple(part in _ALWAYS for part in parts)
        self._only = self._reads[0] if len(parts) == 1 and self._sure[0] else None

    @property
    def read(self) -> Read:
        """The same as calling it, without the detour where there is a shorter way."""
        return self if self._only is None else self._only

    def __call__(self, request: Request) -> str | None:
        """The key of this request."""
        if self._only is not None:
            return self._only(request)
        texts = []
        for read, sure in zip(self._reads, self._sure, strict=True):
            value = read(request)
            if value is not None:
                texts.append(value if sure else "=" + _bounded(value))
            elif self._missing == "exempt":
                return None
            elif self._missing == "client_ip":
                texts.append("~" + self._network(request.client_ip))
            else:
                texts.append("~")
        return _joined(texts)

    def first(self, request: Request) -> str | None:
        """The value of the first part; None if it is missing."""
        return self._reads[0](request)

    def values(self, request: Request) -> list[str]:
        """The value of each part; of one that is missing, what stands in for it."""
        values = [read(request) for read in self._reads]
        instead = request.client_ip if self._missing == "client_ip" else "none"
        return [instead if value is None else value for value in values]

    def of_values(self, values: Sequence[str]) -> str:
        """The key of a request that has these values. Raises ValueError for too many or few."""
        if len(values) != len(self.named):
            raise ValueError(f"the key is {' and '.join(self.named) or 'global'}")
        given = iter(values)
        texts = []
        for part, sure in zip(self.parts, self._sure, strict=True):
            value = "" if part == "global" else next(given)
            if part == "client_ip":
                value = self._network(value)
            texts.append(value if sure else "=" + _bounded(value))
        return texts[0] if self._only is not None else _joined(texts)

    def _network(self, address: str) -> str:
        return network(address, self._ipv4, self._ipv6)

    def _reader(self, part: str) -> Read:
        kind, _, name = part.partition(":")
        match kind:
            case "client_ip":
                return self._client_reader()
            case "route":
                return lambda request: request.route.name
            case "identity":
                return lambda request: _text(request.state.get("identity"))
            case "header":
                field = name.lower()
                return lambda request: request.headers.get(field)
            case "cookie":
                return lambda request: _decoded(cookie_value(request.headers, name))
            case "query":
                return lambda request: next(iter(read_query(request.query).get(name, ())), None)
            case "path":
                return lambda request: request.captures.get(name)
            case "claim":
                steps = name.split(".", _CLAIM_DEPTH)
                return lambda request: _claim(request.state.get("claims"), steps)
            case _:
                return lambda request: ""

    def _client_reader(self) -> Read:
        ipv4, ipv6 = self._ipv4, self._ipv6

        def read(request: Request) -> str:
            address = request.client_ip
            if ipv4 == 32 and ":" not in address:
                return address
            return network(address, ipv4, ipv6)

        return read


@lru_cache(maxsize=4096)
def network(address: str, ipv4: int = 32, ipv6: int = 64) -> str:
    """What counts of an address: so many of its bits. IPv4 inside of IPv6 is IPv4.

    Of IPv6 one client is given a /64 at least, so a longer prefix would let it choose.
    """
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return address[:64]
    mapped = getattr(parsed, "ipv4_mapped", None)
    if mapped is not None:
        parsed = mapped
    bits = ipv4 if parsed.version == 4 else ipv6
    rest = parsed.max_prefixlen - bits
    if not rest:
        return str(parsed)
    return f"{int(parsed) >> rest:x}/{bits}"


def _claim(claims: Any, steps: Sequence[str]) -> str | None:
    """A claim by its path; None when it isn't there or is no plain value."""
    for step in steps:
        if not isinstance(claims, Mapping):
            return None
        claims = claims.get(step)
    return _text(claims)


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else decode(value)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None


def _bounded(value: str) -> str:
    if len(value) <= _VALUE_MAX:
        return value
    return "#" + blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _joined(texts: Sequence[str]) -> str:
    if len(texts) == 1:
        return texts[0]
    return "".join([f"{len(text)}:{text}" for text in texts])
