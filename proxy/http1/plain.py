"""Heads of the plainest form, taken apart without the parser.

The parser is a state machine for whatever may come; nearly all that does come is a request
line of three words and lines of known names. Such a head takes a fifth of the parser's time
here. The rule: what is taken apart here, the parser would take apart into the same parts
(tests/unit/http1/test_plain.py holds the two against each other); for anything else the
answer is None, and the parser decides. Pure but for `line`'s memory.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.http1.line import Line, plain_lines

_METHODS: Final = {
    method.encode(): method
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
}
_VERSIONS: Final = {b"HTTP/1.1": (1, 1), b"HTTP/1.0": (1, 0)}
_STATUS_LINE: Final = re.compile(rb"(HTTP/1\.[01]) ([0-9]{3})(?: [\x20-\x7e]*)?").fullmatch
_STARTS: dict[bytes, tuple[int, tuple[int, int]]] = {}
_STARTS_MAX: Final = 256
_START_MAX_LENGTH: Final = 64


PlainRequest = tuple[str, str, tuple[int, int], list[Line]]
"""Method, target, version and lines of a request, as the parser gives them."""
PlainResponse = tuple[int, tuple[int, int], list[Line]]
"""Status, version and lines of a response, as the parser gives them."""


def plain_request(head: bytes) -> PlainRequest | None:
    """The parts of a request head, given without the empty line at its end."""
    texts = head.split(b"\r\n")
    words = texts[0].split(b" ")
    if len(words) != 3:
        return None
    method = _METHODS.get(words[0])
    version = _VERSIONS.get(words[2])
    target = words[1].decode("latin-1")
    if (
        method is None
        or version is None
        or target[:1] != "/"
        or not target.isascii()
        or not target.isprintable()
    ):
        return None
    del texts[0]
    lines = plain_lines(texts)
    return None if lines is None else (method, target, version, lines)


def plain_response(head: bytes) -> PlainResponse | None:
    """The parts of a response head, given without the empty line at its end."""
    texts = head.split(b"\r\n")
    start = _STARTS.get(texts[0]) or _read_start(texts[0])
    if start is None:
        return None
    del texts[0]
    lines = plain_lines(texts)
    return None if lines is None else (*start, lines)


def _read_start(text: bytes) -> tuple[int, tuple[int, int]] | None:
    match = _STATUS_LINE(text)
    if match is None:
        return None
    start = int(match[2]), _VERSIONS[match[1]]
    if len(text) <= _START_MAX_LENGTH and len(_STARTS) < _STARTS_MAX:
        _STARTS[text] = start
    return start
