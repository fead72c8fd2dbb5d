"""Byte ranges (RFC 9110, 14): what is asked for, what is there, and several in one body.

May live here: grammar, and which bytes a range means. Must not live here: whether a
response may be answered from (see `policies/cache`). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

MAX_RANGES: Final = 16
"""More ranges than this in one request are not answered apart; the Range field is ignored."""

_RANGE: Final = re.compile(r"([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18})")
_CONTENT_RANGE: Final = re.compile(
    rb"bytes[ \t]+(?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)", re.IGNORECASE
)


class Asked(NamedTuple):
    """One range as a request writes it: `first-last`, `first-`, or the last `suffix` bytes.

    Unused parts are -1.
    """

    first: int
    last: int
    suffix: int


class Span(NamedTuple):
    """Bytes from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many bytes these are."""
        return self.last - self.first + 1


class Part(NamedTuple):
    """What a Content-Range says: a span, and the length of the whole, None if unknown."""

    span: Span
    complete: int | None


def read_range(value: bytes) -> list[Asked] | None:
    """The ranges of a Range value; None when it is to be ignored (RFC 9110, 14.2): another
    unit, malformed, or more ranges than anybody honest needs."""
    unit, equals, rest = value.decode("latin-1").partition("=")
    if not equals or unit.strip(" \t").lower() != "bytes":
        return None
    asked: list[Asked] = []
    for part in rest.split(","):
        text = part.strip(" \t")
        if not text:
            continue
        found = _RANGE.fullmatch(text)
        if found is None:
            return None
        first, last, suffix = found.groups()
        if suffix is not None:
            asked.append(Asked(-1, -1, int(suffix)))
        elif last is not None and int(last) < int(first):
            return None
        else:
            asked.append(Asked(int(first), -1 if last is None else int(last), -1))
    return asked if 0 < len(asked) <= MAX_RANGES else None


def satisfiable(asked: Iterable[Asked], length: int) -> list[Span]:
    """The bytes that ranges mean of a whole of this length; empty when none can be had.

    Ranges that overlap or touch are joined, so that no byte is sent twice; those that don't
    stay in the order they were asked for.
    """
    spans: list[Span] = []
    for first, last, suffix in asked:
        if suffix >= 0:
            begin, end = max(0, length - suffix), length - 1
        else:
            begin, end = first, length - 1 if last < 0 else min(last, length - 1)
        if begin > end:
            continue
        meeting = [span for span in spans if begin <= span.last + 1 and span.first <= end + 1]
        if meeting:
            begin = min(begin, *(span.first for span in meeting))
            end = max(end, *(span.last for span in meeting))
            place = spans.index(meeting[0])
            spans = [span for span in spans if span not in meeting]
            spans.insert(place, Span(begin, end))
        else:
            spans.append(Span(begin, end))
    return spans


def read_content_range(value: bytes) -> Part | None:
    """What a Content-Range says of a part that is there; None for anything else."""
    found = _CONTENT_RANGE.fullmatch(value.strip(b" \t"))
    if found is None or found[1] is None:
        return None
    first, last = int(found[1]), int(found[2])
    complete = None if found[3] == b"*" else int(found[3])
    if last < first or (complete is not None and last >= complete):
        return None
    return Part(Span(first, last), complete)


def show_content_range(span: Span, complete: int) -> bytes:
    """A Content-Range value for a part."""
    return b"bytes %d-%d/%d" % (span.first, span.last, complete)


def show_unsatisfied(complete: int) -> bytes:
    """A Content-Range value for a 416."""
    return b"bytes */%d" % complete


def part_heads(
    spans: Iterable[Span], complete: int, media: bytes | None, boundary: bytes
) -> tuple[list[bytes], bytes]:
    """What stands before each part of a `multipart/byteranges` body, and what ends it."""
    kind = b"" if media is None else b"Content-Type: %b\r\n" % media
    heads = [
        b"\r\n--%b\r\n%bContent-Range: %b\r\n\r\n"
        % (boundary, kind, show_content_range(span, complete))
        for span in spans
    ]
    return heads, b"\r\n--%b--\r\n" % boundary
