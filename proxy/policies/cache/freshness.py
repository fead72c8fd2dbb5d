"""How old a response is, and how long it stays fresh (RFC 9111, 4.2). Pure.

How malformed values are read:

- Age: of several the first counts (5.1), as far as it begins with digits. One that doesn't
  may mean any age, and is taken for the greatest; 5.1 would have it ignored, which would
  make a fresh response of it.
- Expires: what isn't a date in one of the three forms is a time in the past (5.3); so are
  two values.
- Date: what isn't a date is replaced by the moment the response came.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import floor
from typing import Final, Literal, NamedTuple

from proxy.http1.cache_control import MAX_SECONDS
from proxy.http1.date import parse_date
from proxy.http1.glob import compile_glob
from proxy.http1.headers import Headers
from proxy.policies.cache.control import Control
from proxy.policies.cache.options import Options, Rule

HEURISTIC: Final = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""Statuses whose freshness may be guessed (RFC 9110, 15.1)."""
LASTING: Final = frozenset({200, 203, 204, 300, 301, 308})
"""Statuses that `ttl` is for."""
FAILING: Final = frozenset({404, 405, 410, 414, 500, 501, 502, 503, 504})
"""Statuses that `negative` is for."""

_HEURISTIC_SHARE: Final = 0.1
_DIGITS: Final = re.compile(rb"[ \t]*([0-9]+)").match
_EXPLICIT: Final = ("s-maxage", "max-age")
_WORDS: Final = ("no-store", "no-cache", "private", "must-revalidate", "proxy-revalidate")

Source = Literal["explicit", "configured", "heuristic", "none"]


class Lifetime(NamedTuple):
    """Seconds that a response stays fresh, counted from its making, and who says so."""

    seconds: float
    source: Source


def initial_age(headers: Headers, asked: float, received: float) -> float:
    """Seconds that a response was old as it came (RFC 9111, 4.2.3).

    asked, received: when the request went and the response came, in seconds since 1970.
    """
    made = date_of(headers, received)
    # Date has whole seconds, so the fraction of the present one says nothing.
    apparent = max(0.0, floor(received) - made)
    stated = 0
    value = headers.raw("age")
    if value is not None:
        digits = _DIGITS(value.partition(b",")[0])
        stated = MAX_SECONDS if digits is None else min(int(digits[1][:20]), MAX_SECONDS)
    return max(apparent, stated + max(0.0, received - asked))


def date_of(headers: Headers, received: float) -> float:
    """When a response was made, in seconds since 1970."""
    value = headers.raw("date")
    made = None if value is None else parse_date(value, received)
    return received if made is None else made


def explicit_lifetime(headers: Headers, control: Control, received: float) -> float | None:
    """How long a response says that it is fresh for a shared cache; None if it doesn't say."""
    for name in _EXPLICIT:
        seconds = control.directives.seconds(name)
        if seconds is not None:
            return float(seconds)
    expires = None if control.targeted else headers.raw("expires")
    if expires is None:
        return None
    ends = parse_date(expires, received)
    return 0.0 if ends is None else ends - date_of(headers, received)


def speaks(headers: Headers, control: Control) -> bool:
    """The service has said something about keeping a response."""
    if control.targeted or any(name in control.directives for name in (*_EXPLICIT, *_WORDS)):
        return True
    return "expires" in headers


class Lifetimes:
    """What the options make of responses whose service doesn't say."""

    def __init__(self, options: Options) -> None:
        self._ttl = options.ttl
        self._negative = options.negative
        self._heuristic_max = options.heuristic_max
        self._rules = [_BoundRule(rule) for rule in options.ttl_by]
        self._override = options.override != "never"

    def lifetime(
        self,
        status: int,
        headers: Headers,
        control: Control,
        path: str,
        received: float,
        guess: bool,
    ) -> Lifetime:
        """How long a response is fresh. guess: what nobody has said may be guessed at."""
        explicit = explicit_lifetime(headers, control, received)
        if self._override or (explicit is None and not speaks(headers, control)):
            configured = self.configured(status, headers, path)
            if configured is not None:
                return Lifetime(configured, "configured")
        if explicit is not None:
            return Lifetime(explicit, "explicit")
        if guess and (status in HEURISTIC or "public" in control.directives):
            modified = headers.raw("last-modified")
            since = None if modified is None else parse_date(modified, received)
            if since is not None:
                age = max(0.0, date_of(headers, received) - since)
                return Lifetime(min(age * _HEURISTIC_SHARE, self._heuristic_max), "heuristic")
        return Lifetime(0.0, "none")

    def configured(self, status: int, headers: Headers, path: str) -> float | None:
        """What the options say of a response; None when they say nothing."""
        media = (headers.raw("content-type") or b"").partition(b";")[0].strip().lower()
        disguised = in_disguise(path, media)
        for rule in self._rules:
            if rule.fits(status, media.decode("latin-1"), path):
                # What is named by its path alone has to be what its name says.
                return None if disguised and not rule.media else rule.ttl
        if status in LASTING:
            return None if disguised else self._ttl
        return self._negative if status in FAILING else None


class _BoundRule:
    """A rule of `ttl_by`, with its patterns compiled."""

    def __init__(self, rule: Rule) -> None:
        self.ttl = rule.ttl
        self.media = rule.type
        self._statuses = frozenset(rule.status) or LASTING
        self._paths = [compile_glob(pattern) for pattern in rule.path]

    def fits(self, status: int, media: str, path: str) -> bool:
        if status not in self._statuses:
            return False
        if self.media and not _media_in(media, self.media):
            return False
        return not self._paths or any(fits(path) for fits in self._paths)


def _media_in(media: str, patterns: Sequence[str]) -> bool:
    kind = media.partition("/")[0]
    return any(pattern in (media, f"{kind}/*", "*/*") for pattern in patterns)


_STATIC: Final = {
    **dict.fromkeys(("css",), ("text/css",)),
    **dict.fromkeys(("js", "mjs"), ("text/javascript", "application/javascript",
                                    "application/x-javascript")),
    **dict.fromkeys(("avif", "bmp", "gif", "ico", "jpeg", "jpg", "png", "svg", "webp"),
                    ("image/",)),
    **dict.fromkeys(("eot", "otf", "ttf", "woff", "woff2"), ("font/", "application/")),
    **dict.fromkeys(("mp3", "ogg", "wav", "flac"), ("audio/", "application/ogg")),
    **dict.fromkeys(("mp4", "webm", "mov"), ("video/",)),
    **dict.fromkeys(("pdf",), ("application/pdf",)),
    **dict.fromkeys(("zip", "gz", "tar", "7z"), ("application/",)),
}  # fmt: skip


def in_disguise(path: str, media: bytes) -> bool:
    """The path names a static file and the response is something else, as when a service
    answers `/account/x.css` with the page of the account (web cache deception)."""
    name = path.rpartition("/")[2]
    kinds = _STATIC.get(name.rpartition(".")[2].lower()) if "." in name else None
    return kinds is not None and not media.decode("latin-1").startswith(kinds)
