"""Asking the service whether a stored response still holds, and taking in what it says
(RFC 9111, 4.3). Pure.

A 304 renews every stored field that it carries, with these exceptions (3.2): the length and
coding of the body, what frames or names a part of it, and its ETag when it isn't the same.
That last case contradicts itself, since the service was asked about no other tag; the bytes
that are stored keep the tag that they came with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.contract import Request, Response
from proxy.http1.entity_tag import match_strongly, match_weakly, weak
from proxy.http1.headers import Headers
from proxy.policies.cache.entry import Entry

CONDITIONS: Final = frozenset({
    "if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range",
})  # fmt: skip
"""Fields that make a request conditional (RFC 9110, 13.1)."""

_OF_THE_BODY: Final = frozenset({
    "content-length", "content-encoding", "content-range", "content-md5", "content-digest",
    "repr-digest", "digest", "transfer-encoding",
})  # fmt: skip


def make_conditional(request: Request, entry: Entry) -> None:
    """Have a request ask for nothing that the entry has already, in place of its own conditions."""
    headers = request.headers
    headers.drop(CONDITIONS)
    headers.remove("range")
    tag = entry.headers.raw("etag")
    if tag is not None:
        headers.append(b"If-None-Match", tag)
    modified = entry.headers.raw("last-modified")
    if modified is not None:
        headers.append(b"If-Modified-Since", modified)


def named(entry: Entry) -> bool:
    """A representation that a service can say by its ETag to be the one that is wanted.

    Some services give it the same ETag in each of its codings, or a weak one; a client must not
    be sent a coding that it doesn't know on their word.
    """
    tag = entry.headers.raw("etag") or b""
    return (
        tag.startswith(b'"')
        and entry.status == 200
        and entry.span is None
        and "content-encoding" not in entry.headers
    )


def ask_for_other(request: Request, others: Sequence[Entry]) -> None:
    """Have a request ask for nothing if the answer is one of these (RFC 9111, 4.3.1)."""
    tags = dict.fromkeys(entry.headers.raw("etag") or b"" for entry in others)
    request.headers.append(b"If-None-Match", b", ".join(tags))


def selected(others: Sequence[Entry], news: Headers) -> Entry | None:
    """The one of these that a 304 is about (RFC 9111, 4.3.4); None if it doesn't say.

    One that names none can only mean the one that it was asked about.
    """
    tag = news.raw("etag")
    if tag is None:
        return others[0] if len(others) == 1 else None
    return next(
        (one for one in others if match_strongly(tag, one.headers.raw("etag") or b"")), None
    )


def ask_for_rest(request: Request, entry: Entry) -> None:
    """Have a request ask for what follows the part that the entry has."""
    headers = request.headers
    headers.drop(CONDITIONS)
    headers.set("Range", f"bytes={entry.size}-")
    tag = entry.headers.raw("etag")
    if tag is not None and not weak(tag):
        headers.append(b"If-Range", tag)


def renewed(stored: Headers, news: Headers, date: bytes) -> Headers:
    """The stored fields, with those of a 304 or a HEAD in their places.

    date: when the news came, for news without a Date.
    """
    fresh = news.copy()
    fresh.drop(_OF_THE_BODY)
    if _other_tag(stored, news):
        fresh.remove("etag")
    merged = stored.copy()
    merged.drop(frozenset(fresh.keys()) | {"age"})
    for name, value in fresh.fields():
        merged.append(name, value)
    if "date" not in news:
        merged.set_raw(b"Date", date)
    return merged


def _other_tag(stored: Headers, news: Headers) -> bool:
    theirs, ours = news.raw("etag"), stored.raw("etag")
    return theirs is not None and ours is not None and theirs != ours


def describes(entry: Entry, response: Response) -> bool:
    """The head of a response to HEAD is of what is stored (RFC 9111, 4.3.5)."""
    news, stored = response.headers, entry.headers
    tag, modified = news.raw("etag"), news.raw("last-modified")
    if response.status != 200 or entry.status != 200 or entry.span is not None:
        return False
    if tag is not None and not match_weakly(tag, stored.raw("etag") or b""):
        return False
    if modified is not None and modified != stored.raw("last-modified"):
        return False
    return response.length is None or response.length == entry.size


def combinable(stored: Headers, part: Headers) -> bool:
    """Two parts are of the same whole: they share a strong validator (RFC 9111, 3.4)."""
    ours, theirs = stored.raw("etag"), part.raw("etag")
    return ours is not None and theirs is not None and match_strongly(ours, theirs)
