"""Which responses may be kept, and on which terms (RFC 9111, 3). Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from proxy.contract import Request, Response
from proxy.http1.cache_control import Directives
from proxy.http1.headers import Headers
from proxy.http1.status import REASONS
from proxy.policies.cache.control import Control, control_of
from proxy.policies.cache.freshness import (
    HEURISTIC,
    Lifetimes,
    Source,
    in_disguise,
    initial_age,
)
from proxy.policies.cache.options import Options
from proxy.policies.cache.vary import read_vary

# RFC 9111, 3.1, beyond what the data plane has taken out already.
_NOT_STORED: Final = frozenset({
    "proxy-authenticate", "proxy-authentication-info", "proxy-authorization", "age",
})  # fmt: skip
# What makes a shared cache wait for the origin before it uses a stale response (4.2.4).
_STRICT: Final = ("must-revalidate", "proxy-revalidate")
_TAG_FIELDS: Final = ("surrogate-key", "cache-tag")
_TAGS_MAX: Final = 64
_TAG_LENGTH_MAX: Final = 256
# A status that this cache understands: one that has a name in HTTP (RFC 9111, 3).
_UNDERSTOOD: Final = frozenset(REASONS) - {206, 304}


class Terms(NamedTuple):
    """How a response may be kept and used.

    lifetime: seconds that it is fresh, counted from its making. source: who says so. age:
    seconds that it was old as it came. stale_while, stale_if: seconds beyond its lifetime
    that it may be used while it is fetched anew, and when that fails. validate: never to be
    used before the origin was asked. strict: nor once it is stale. vary: lower-case request
    fields that it depends on. drop: fields that are not kept.
    """

    lifetime: float
    source: Source
    age: float
    stale_while: float
    stale_if: float
    validate: bool
    strict: bool
    vary: tuple[str, ...]
    drop: frozenset[str]


class Storing:
    """Judges responses by the RFC and the options."""

    def __init__(self, options: Options) -> None:
        self._lifetimes = Lifetimes(options)
        self._stale_while = options.stale_while_revalidate
        self._stale_if = options.stale_if_error
        self._override_all = options.override == "all"
        self._set_cookie = options.set_cookie

    def judge(
        self,
        request: Request,
        response: Response,
        asked: float,
        received: float,
        part: bool = False,
    ) -> Terms | str:
        """The terms on which a response to GET, HEAD or POST may be kept, or why it may not.

        asked, received: when the request went and the response came, in seconds since 1970.
        part: a 206 that says which part it is may be kept as one.
        """
        status, headers = response.status, response.headers
        control = control_of(headers)
        directives = control.directives
        if status < 200 or status == 304 or (status == 206 and not part):
            return "status"
        vary = read_vary(headers)
        if vary is None:
            return "vary-star"
        # What a client is, by its cookies, is no ground for a guess that others will share.
        guess = "cookie" not in request.headers and not in_disguise(request.path, _media(headers))
        lifetime, source = self._lifetimes.lifetime(
            status, headers, control, request.path, received, guess
        )
        overridden = self._override_all and source == "configured"
        refusal = _refusal(200 if part else status, directives, overridden)
        if refusal:
            return refusal
        if "set-cookie" in headers and (source != "explicit" or self._set_cookie == "never"):
            return "set-cookie"
        if "authorization" in request.headers and not _shares_authorized(directives):
            return "authorization"
        if source == "none" and not _storable_unsaid(status, control):
            return "no-freshness"
        validate = directives.bare("no-cache") and not overridden
        strict = any(name in directives for name in _STRICT)
        stale_while, stale_if = self._grace(directives, validate or strict)
        if lifetime <= 0 and (
            source == "configured" or not (validators(headers) or _says_stale(directives))
        ):
            return "no-freshness" if source == "none" else "stale"
        drop = _NOT_STORED | directives.fields("no-cache") | directives.fields("private")
        if self._set_cookie == "strip":
            drop |= {"set-cookie", "set-cookie2"}
        age = initial_age(headers, asked, received)
        return Terms(
            lifetime, source, age, stale_while, stale_if, validate,
            strict or "s-maxage" in directives, vary, drop,
        )  # fmt: skip

    def _grace(self, directives: Directives, none: bool) -> tuple[float, float]:
        """Seconds of `stale_while` and `stale_if`."""
        if none:
            return 0.0, 0.0
        while_ = directives.seconds("stale-while-revalidate")
        if_error = directives.seconds("stale-if-error")
        if "s-maxage" in directives:
            # It implies proxy-revalidate (RFC 9111, 5.2.2.10), where nothing plainer is said.
            return float(while_ or 0), float(if_error or 0)
        return (
            self._stale_while if while_ is None else float(while_),
            self._stale_if if if_error is None else float(if_error),
        )


def validators(headers: Headers) -> bool:
    """The response can be asked for anew by a conditional request."""
    return "etag" in headers or "last-modified" in headers


def tags_of(headers: Headers) -> tuple[str, ...]:
    """The names that a service gives a response to purge it by: Surrogate-Key, apart by
    blanks, or Cache-Tag, apart by commas."""
    tags: dict[str, None] = {}
    for key in _TAG_FIELDS:
        value = headers.get(key)
        if value is None:
            continue
        for tag in value.replace(",", " ").split() if key == "surrogate-key" else value.split(","):
            name = tag.strip()
            if name and len(name) <= _TAG_LENGTH_MAX and len(tags) < _TAGS_MAX:
                tags[name] = None
    return tuple(tags)


def _refusal(status: int, directives: Directives, overridden: bool) -> str:
    """Why a response of this status may not be kept by its own word; empty if it may."""
    if "must-understand" in directives:
        # Then no-store is for caches that don't know the directive (RFC 9111, 5.2.2.3).
        if status not in _UNDERSTOOD:
            return "must-understand"
    elif "no-store" in directives and not overridden:
        return "no-store"
    return "private" if directives.bare("private") and not overridden else ""


def _storable_unsaid(status: int, control: Control) -> bool:
    """A response without freshness may be kept, to be validated (RFC 9111, 3, last list)."""
    return status in HEURISTIC or "public" in control.directives


def _shares_authorized(directives: Directives) -> bool:
    """A response to a request with Authorization may be shared (RFC 9111, 3.5)."""
    return any(name in directives for name in ("public", "must-revalidate", "s-maxage"))


def _says_stale(directives: Directives) -> bool:
    return "stale-while-revalidate" in directives or "stale-if-error" in directives


def _media(headers: Headers) -> bytes:
    return (headers.raw("content-type") or b"").partition(b";")[0].strip().lower()
