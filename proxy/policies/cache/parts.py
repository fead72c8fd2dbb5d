"""Parts of a representation: which may be kept, and how they are put together
(RFC 9110, 15.3.7; RFC 9111, 3.3 and 3.4). Pure."""

from __future__ import annotations

from typing import NamedTuple

from proxy.contract import Response
from proxy.http1.byte_range import Span, read_content_range
from proxy.http1.headers import Headers
from proxy.policies.cache.answer import cut
from proxy.policies.cache.entry import Entry
from proxy.policies.cache.validation import combinable


class Told(NamedTuple):
    """Which bytes a 206 brings, and of how many."""

    span: Span
    complete: int


def read_part(response: Response) -> Told | None:
    """What a 206 brings; None when it doesn't say so plainly.

    The bytes that come count, not how they are numbered: a part that claims to reach the
    end of the whole ends where its bytes do, and any other has to be as long as it says.
    """
    told = read_content_range(response.headers.raw("content-range") or b"")
    size = response.length
    if told is None or told.complete is None or not size:
        return None
    span, complete = told.span, told.complete
    if size < span.size and span.last + 1 == complete:
        complete = span.first + size
        span = Span(span.first, complete - 1)
    return Told(span, complete) if size == span.size else None


def follows(held: Entry, response: Response) -> bool:
    """A response brings all that the stored beginning lacks, and of the same whole."""
    told = read_content_range(response.headers.raw("content-range") or b"")
    return (
        response.status == 206
        and told is not None
        and told.span.first == held.size
        and told.complete == told.span.last + 1 == held.complete
        and combinable(held.headers, response.headers)
    )


def joined(
    other: Entry, headers: Headers, span: Span, pieces: list[bytes]
) -> tuple[Span, list[bytes]]:
    """A part together with one that is stored, where they meet and are of the same whole."""
    old = other.span
    alone = (span, pieces)
    if old is None or not combinable(other.headers, headers):
        return alone
    if span.first > old.last + 1 or old.first > span.last + 1:
        return alone
    before = cut(other.body, 0, max(0, span.first - old.first))
    missing = max(0, old.last - span.last)
    after = cut(other.body, old.size - missing, missing)
    return Span(min(old.first, span.first), max(old.last, span.last)), [*before, *pieces, *after]
