"""What a stored response is found by: the URL, and what else the options say. Pure.

A key begins with the URL, ends at a blank there, and goes on with the zone (which policy of
which route, and which upstream stands behind it) and the values that count. The URL has the
scheme, since services answer differently over plain HTTP, and the authority as the service
sees it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import unquote_plus

from proxy.contract import CERTIFICATE, Request
from proxy.http1.headers import Headers
from proxy.policies.cache.control import SURROGATE
from proxy.policies.cache.options import Key, Query

IDENTITY: Final = "identity"
CLAIMS: Final = "claims"
"""Where policies that authenticate leave who the client is, in `request.state`."""

# Fields by which some services can be told of another URL or method than was asked for.
# What isn't part of the key must not shape what everybody gets.
_MISLEADING: Final = frozenset({
    "x-host", "x-http-host-override", "x-original-host", "x-original-path", "x-http-method",
    "x-http-method-override", "x-method-override", "x-middleware-subrequest",
    # Services write for caches that can do what it says, such as ESI.
    "surrogate-capability",
})  # fmt: skip

# So that services that know of it send Surrogate-Control.
_CAPABILITY: Final = b'%b="Surrogate/1.0"' % SURROGATE.encode("ascii")

# Whether nothing is known of who a client is.
_UNKNOWN: Final = frozenset({IDENTITY, CERTIFICATE}).isdisjoint

# Lines that tell who the client is, and not what it asked for.
_WHO: Final = (b"X-Forwarded-For:", b"Forwarded:", b"X-Real-IP:")


class KeyPlan:
    """Makes keys of requests, and of requests what the service is asked in everybody's name.

    zone: what `zone_of` says of the policy.
    """

    def __init__(self, options: Key, zone: str) -> None:
        self._zone = zone
        self._query = _plan_query(options.query)
        self._headers = tuple(sorted(name.lower() for name in options.headers))
        self._cookies = tuple(sorted(options.cookies))
        self._claims = tuple(sorted(options.claims))
        self._identity = options.identity
        self._plain = not (self._headers or self._cookies or self._claims)
        self._misleading = _MISLEADING - frozenset(self._headers)

    def url(self, request: Request) -> str:
        """The URL that a response belongs to, as far as its query counts."""
        target = request.target.decode("latin-1")
        if self._query is not None and "?" in target:
            target = self._query(target)
        return f"{request.scheme}://{request.authority.lower()}{target}"

    def normal(self, url: str) -> str:
        """Another URL of the host, with as much of its query as counts."""
        scheme, _, rest = url.partition("://")
        host, slash, target = rest.partition("/")
        if self._query is None or "?" not in target:
            return url
        return f"{scheme}://{host}{self._query(slash + target)}"

    def key(self, request: Request, url: str) -> str:
        """The key of a request, of which `url` is what the method of that name says."""
        state = request.state
        if self._plain and not request.trusted and _UNKNOWN(state):
            return url + self._zone
        parts = [url, self._zone]
        if request.trusted:
            parts.append(_told(request.forwarded))
        for name in self._headers:
            parts.append(_written(request.headers.get(name)))
        if self._cookies:
            jar = read_cookies(request.headers)
            parts += [_written(jar.get(name)) for name in self._cookies]
        claims: Mapping[str, Any] = state.get(CLAIMS) or {}
        parts += [_written(claims.get(name)) for name in self._claims]
        if self._identity and not _UNKNOWN(state):
            parts.append("i" + _written(_who(state)))
        return "".join(parts)

    def plain(self, request: Request) -> bool:
        """The request, as it is, says nothing that isn't in its key and would shape an answer."""
        target = request.target.decode("latin-1")
        return request.headers.lacks(self._misleading) and (
            self._query is None or "?" not in target or self._query(target) == target
        )

    def shared(self, request: Request) -> Request:
        """The request as it is sent for an answer that others may get as well.

        It lacks what isn't in the key and would shape the answer: ignored parameters, and
        fields that mislead services about what was asked.
        """
        twin = request.copy()
        twin.headers.drop(self._misleading)
        twin.headers.append(b"Surrogate-Capability", _CAPABILITY)
        target = request.target.decode("latin-1")
        if self._query is not None and "?" in target:
            kept = self._query(target)
            if kept != target:
                twin.target = kept.encode("latin-1")
                twin.query = kept.partition("?")[2]
        return twin


def _who(state: Mapping[str, Any]) -> object:
    """Who the client is: as a policy calls it, or by the certificate that services may see."""
    name, certificate = state.get(IDENTITY), state.get(CERTIFICATE)
    return name if name or certificate is None else certificate.fingerprint


@lru_cache(maxsize=1024)
def zone_of(identity: str, upstream: str) -> str:
    """What tells the keys of one policy on one route from those of others."""
    text = f"{identity}\n{upstream}".encode("utf-8", "surrogateescape")
    return " " + blake2b(text, digest_size=9).hexdigest() + " "


@lru_cache(maxsize=4096)
def _told(forwarded: bytes) -> str:
    """What a trusted proxy has the service told about the URL, of which it may make links; empty
    when it says nothing."""
    lines = [line for line in forwarded.split(b"\r\n") if line and not line.startswith(_WHO)]
    return "f" + _written(b"\n".join(lines).decode("latin-1")) if lines else ""


def _plan_query(options: Query) -> Callable[[str], str] | None:
    """What a target keeps of its query; None for all of it."""
    if not options.ignore and options.only is None and not options.sort:
        return None
    listed = _names(options.ignore if options.only is None else options.only)
    wanted = options.only is not None
    sort = options.sort

    def keep(target: str) -> str:
        path, _, query = target.partition("?")
        parts = [
            part
            for part in query.split("&")
            if part and (listed(unquote_plus(part.partition("=")[0])) is not None) is wanted
        ]
        if sort:
            # Stable: the order of values of one name may mean something.
            parts.sort(key=lambda part: part.partition("=")[0])
        return f"{path}?{'&'.join(parts)}" if parts else path

    return keep


def _names(patterns: Sequence[str]) -> Callable[[str], re.Match[str] | None]:
    parts = [
        re.escape(pattern[:-1]) + ".*" if pattern.endswith("*") else re.escape(pattern)
        for pattern in patterns
    ]
    # The empty pattern would fit the empty name; this one fits nothing.
    return re.compile("|".join(parts) or "(?!)", re.DOTALL).fullmatch


def _written(value: object) -> str:
    """A value with its length before it, so that no two rows of values read the same."""
    if value is None:
        return "-"
    text = str(value)
    return f"{len(text)}:{text}"


def read_cookies(headers: Headers) -> dict[str, str]:
    """The cookies of a request by name; of equal names the first counts."""
    value = headers.get("cookie")
    jar: dict[str, str] = {}
    for pair in (value or "").split(";"):
        name, equals, text = pair.strip().partition("=")
        if equals:
            jar.setdefault(name, text)
    return jar
