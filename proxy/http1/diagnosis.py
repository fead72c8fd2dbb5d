"""Why a head could not be parsed, in words and with the right status.

The parser says no without saying why in a way that a client may see. This reads the refused
lines again, with no need to be fast or complete: what it doesn't recognise stays a plain
400. It never quotes the bytes.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.errors import GatewayError

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([^ ]+) (\S+)")
# What HTTP/0.9 sends: it knows one method and no version.
_SIMPLE: Final = re.compile(rb"GET /[^ ]*")
_FIELD: Final = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*")
_NAME: Final = re.compile(rb"(?m)^([^:\r\n]+):")
_CODINGS: Final = re.compile(rb"(?im)^transfer-encoding:([^\r\n]*)")
_TLS: Final = re.compile(rb"\x16\x03[\x00-\x04]")
# The parser takes each of these once.
_SINGLE: Final = (b"content-type", b"user-agent", b"server", b"etag", b"max-forwards")


def diagnose(head: bytes, error: GatewayError) -> GatewayError:
    """The error to answer a refused head with; closes the connection like the given one.

    head: its lines up to the refused one at least.
    """
    if _TLS.match(head):
        return _error("bad_request", "The client began a TLS handshake on a plain HTTP port.")
    line, _, rest = head.partition(b"\n")
    text = line.removesuffix(b"\r")
    match = _LINE.fullmatch(text)
    if match is None:
        if _SIMPLE.fullmatch(text):
            return _error("unknown_version", None, error)
        return _error("bad_request", "The request line is malformed.", error)
    if match[3] not in (b"HTTP/1.0", b"HTTP/1.1"):
        return _error("unknown_version", None, error)
    if not line.endswith(b"\r"):
        return _error("bad_request", "A line does not end with CRLF.", error)
    if error.cause == "BadHttpMethod":
        return _error("method_not_supported", None, error)
    if not match[2].isascii():
        return _error("invalid_target", "The target holds characters that a URL can't.", error)
    if error.cause in ("InvalidURLError", "IndexError"):
        return _error("invalid_target", None, error)
    return _diagnose_fields(rest, match[3], error)


def _diagnose_fields(rest: bytes, version: bytes, error: GatewayError) -> GatewayError:
    # What stands behind the last line feed is no line yet.
    for number, text in enumerate(rest.split(b"\n")[:-1], 1):
        if text == b"\r":
            break
        if not text.endswith(b"\r"):
            return _error("invalid_header", f"Field line {number} does not end with CRLF.", error)
        if text[:1] in (b" ", b"\t"):
            return _error("invalid_header", f"Field line {number} is folded or indented.", error)
        if _FIELD.fullmatch(text[:-1]) is None:
            return _error("invalid_header", f"Field line {number} is malformed.", error)
    names = [name.lower() for name in _NAME.findall(rest)]
    if names.count(b"host") > 1:
        return _error("invalid_host", "The Host field is repeated.", error)
    codings = b",".join(_CODINGS.findall(rest)).lower()
    if codings:
        if any(part.strip() not in (b"chunked", b"") for part in codings.split(b",")):
            return _error("unknown_coding", None, error)
        detail = "Transfer-Encoding must be `chunked`, once, and without Content-Length."
        return _error("invalid_framing", detail, error)
    if b"content-length" in names:
        return _error("invalid_framing", "Content-Length must be one decimal number.", error)
    if any(names.count(name) > 1 for name in _SINGLE):
        return _error("invalid_header", "A field that may stand only once is repeated.", error)
    # Only a head that is complete can lack anything.
    complete = rest == b"\r\n" or rest.endswith(b"\r\n\r\n")
    if complete and version == b"HTTP/1.1" and b"host" not in names:
        return _error("invalid_host", "The Host field is missing.", error)
    return error


def _error(code: str, detail: str | None, error: GatewayError | None = None) -> GatewayError:
    return GatewayError(code, detail, cause="" if error is None else error.cause, close=True)
