"""What is sent of a stored response: all of it, a 304, its head, or ranges of it
(RFC 9111, 4; RFC 9110, 14 and 15.3.7). Nothing is decided here about whether it may be."""

from __future__ import annotations

from typing import Final

from proxy.contract import Request, Response
from proxy.http1.byte_range import (
    Span,
    part_heads,
    read_range,
    satisfiable,
    show_content_range,
    show_unsatisfied,
)
from proxy.http1.headers import Headers
from proxy.http1.precondition import not_modified, range_applies
from proxy.policies.cache.entry import Entry, Pieces
from proxy.policies.cache.pieces import PiecesBody
from proxy.policies.cache.status import show_hit

# What a 304 leaves out, since the client has it (RFC 9110, 15.4.5).
_NOT_IN_304: Final = frozenset({
    "content-type", "content-encoding", "content-language", "content-range", "content-md5",
     "content-digest", "repr-digest", "content-disposition", "accept-ranges",
})  # fmt: skip


def aged(entry: Entry, now: float) -> Headers:
    """The fields of a stored response with Age."""
    headers = entry.headers.copy()
    headers.append(b"Age", b"%d" % entry.age(now))
    return headers


def render_hit(entry: Entry, now: float, status: bool) -> Headers:
    """As `aged`, with Cache-Status of a hit if `status`, which is the same for all hits of an
    entry; they are the same for a second, and laid out once in it."""
    age = entry.age(now)
    laid_out = entry.rendered
    if laid_out is None or laid_out[0] != age:
        headers = aged(entry, now)
        if status:
            headers.append(b"Cache-Status", show_hit(ttl_of(entry, now)))
        laid_out = entry.rendered = (age, headers)
    return laid_out[1].copy()


def ttl_of(entry: Entry, now: float) -> int:
    """Whole seconds of freshness that an entry has left, negative once it is stale."""
    born = entry.received - entry.terms.age
    return int((born + entry.terms.lifetime - now) // 1)


def whole(entry: Entry, headers: Headers, method: str) -> Response:
    """All of an entry, or its head for HEAD."""
    body = entry.body
    response = Response(entry.status, headers, b"", length=entry.size, origin="upstream")
    if method != "HEAD":
        response.body = body if isinstance(body, bytes) else PiecesBody(body)
    return response


def unchanged(headers: Headers) -> Response:
    """A 304 with what of these fields belongs in one; they are taken over."""
    headers.drop(_NOT_IN_304)
    return Response(304, headers, b"", length=0, origin="upstream")


def respond(
    entry: Entry, headers: Headers, request: Request, wall: float, boundary: bytes
) -> Response | None:
    """What a request is to get of an entry; None when the entry has too little of it.

    headers: the entry's, `aged`; they are taken over. wall: seconds since 1970. boundary:
    for several ranges in one body; the bytes must occur in no body.
    """
    asked = request.headers
    if entry.status == 200 and not_modified(asked, entry.headers, entry.made, wall):
        return unchanged(headers)
    value = asked.raw("range")
    if value is None or request.method != "GET" or entry.status != 200:
        return None if entry.span is not None else whole(entry, headers, request.method)
    if not range_applies(asked, entry.headers, wall):
        return None if entry.span is not None else whole(entry, headers, request.method)
    ranges = read_range(value)
    if ranges is None:
        return None if entry.span is not None else whole(entry, headers, request.method)
    spans = satisfiable(ranges, entry.complete)
    if entry.span is not None and not all(
        entry.span.first <= span.first and span.last <= entry.span.last for span in spans
    ):
        return None
    if not spans:
        headers.drop(_NOT_IN_304)
        headers.set_raw(b"Content-Range", show_unsatisfied(entry.complete))
        return Response(416, headers, b"", origin="upstream")
    return _partial(entry, headers, spans, boundary)


def _partial(entry: Entry, headers: Headers, spans: list[Span], boundary: bytes) -> Response:
    offset = 0 if entry.span is None else entry.span.first
    if len(spans) == 1:
        headers.set_raw(b"Content-Range", show_content_range(spans[0], entry.complete))
        return _response(headers, cut(entry.body, spans[0].first - offset, spans[0].size))
    heads, end = part_heads(spans, entry.complete, headers.raw("content-type"), boundary)
    headers.set_raw(b"Content-Type", b"multipart/byteranges; boundary=" + boundary)
    pieces: list[bytes] = []
    for head, span in zip(heads, spans, strict=True):
        pieces.append(head)
        pieces += cut(entry.body, span.first - offset, span.size)
    return _response(headers, [*pieces, end])


def _response(headers: Headers, pieces: list[bytes]) -> Response:
    size = sum(map(len, pieces))
    body = pieces[0] if len(pieces) == 1 else PiecesBody(tuple(pieces))
    return Response(206, headers, body, length=size, origin="upstream")


def cut(body: bytes | Pieces, first: int, size: int) -> list[bytes]:
    """The pieces of a body that hold `size` bytes from `first` on."""
    if isinstance(body, bytes):
        return [body[first : first + size]]
    taken: list[bytes] = []
    place = 0
    for piece in body:
        begin, end = max(first - place, 0), min(first + size - place, len(piece))
        if begin < end:
            taken.append(piece[begin:end])
        place += len(piece)
        if place >= first + size:
            break
    return taken
