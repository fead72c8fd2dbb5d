"""Conditional requests against a response that is at hand (RFC 9110, 13; RFC 9111, 4.3.2).

Only the conditions that a cache may judge: If-None-Match and If-Modified-Since of a GET or
HEAD, and If-Range. If-Match and If-Unmodified-Since are the origin's. Pure.
"""

from __future__ import annotations

from proxy.http1.date import parse_date
from proxy.http1.entity_tag import match_strongly, match_weakly, read_tags
from proxy.http1.headers import Headers

# A date is a strong validator when the second it names was over as the response was made
# (RFC 9110, 8.8.2.2).
_SETTLED_SECONDS = 1


def not_modified(asked: Headers, stored: Headers, received: float, now: float) -> bool:
    """The client has what is stored: it may be told so by a 304.

    received, now: seconds since 1970; the first stands for a missing Date.
    """
    tags = asked.raw("if-none-match")
    if tags is not None:
        known = read_tags(tags)
        tag = stored.raw("etag")
        # `*` means any representation, and there is one.
        return known == "*" or (
            tag is not None and any(match_weakly(tag, other) for other in known)
        )
    since = asked.raw("if-modified-since")
    moment = None if since is None else parse_date(since, now)
    if moment is None:
        return False
    modified = _date(stored, "last-modified", now)
    if modified is None:
        modified = _date(stored, "date", now)
    return (received if modified is None else modified) <= moment


def range_applies(asked: Headers, stored: Headers, now: float) -> bool:
    """The Range field counts: there is no If-Range, or what it names is what is stored."""
    condition = asked.raw("if-range")
    if condition is None:
        return True
    moment = parse_date(condition, now)
    if moment is None:
        tag = stored.raw("etag")
        return tag is not None and match_strongly(condition, tag)
    modified, made = _date(stored, "last-modified", now), _date(stored, "date", now)
    return (
        modified is not None
        and modified == moment
        and made is not None
        and made - modified >= _SETTLED_SECONDS
    )


def _date(headers: Headers, key: str, now: float) -> float | None:
    value = headers.raw(key)
    return None if value is None else parse_date(value, now)
