"""Why a head could not be parsed, in words and with the right status.

The parser says no without saying why in a way that a client may see. This reads the refused
bytes again, with no need to be fast or complete: what it doesn't recognise stays a plain
400. It never quotes the bytes.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.errors import GatewayError

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([^ ]+) (\S+)")
_VERSION: Final = re.compile(rb"HTTP/\d\.\d")
_FIELD: Final = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*")
_CODINGS: Final = re.compile(rb"(?im)^transfer-encoding:[ \t]*(.*?)[ \t\r]*$")
_TLS: Final = re.compile(rb"\x16\x03[\x00-\x04]")


def diagnose(head: bytes, error: GatewayError) -> GatewayError:
    """The error to answer a refused head with; closes the connection like the given one."""
    if _TLS.match(head):
        return _error("bad_request", "The client began a TLS handshake on a plain HTTP port.")
    line, _, rest = head.partition(b"\n")
    match = _LINE.fullmatch(line.removesuffix(b"\r"))
    if match is None:
        return _error("bad_request", "The request line is malformed.", error)
    if not _VERSION.fullmatch(match[3]) or match[3] not in (b"HTTP/1.0", b"HTTP/1.1"):
        return _error("unknown_version", None, error)
    if not line.endswith(b"\r"):
        return _error("bad_request", "A line does not end with CRLF.", error)
    if not match[2].isascii():
        return _error("invalid_target", "The target holds characters that a URL can't.", error)
    for number, text in enumerate(rest.split(b"\n"), 1):
        if text in (b"\r", b""):
            break
        if not text.endswith(b"\r"):
            return _error("invalid_header", f"Field line {number} does not end with CRLF.", error)
        if text[:1] in (b" ", b"\t"):
            return _error("invalid_header", f"Field line {number} is folded or indented.", error)
        if _FIELD.fullmatch(text[:-1]) is None:
            return _error("invalid_header", f"Field line {number} is malformed.", error)
    names = [name.strip().lower() for name in re.findall(rb"(?m)^([^:\r\n]+):", rest)]
    if names.count(b"host") != 1:
        missing = "repeated" if b"host" in names else "missing"
        return _error("invalid_host", f"The Host field is {missing}.", error)
    codings = b",".join(_CODINGS.findall(rest)).lower()
    if codings:
        if any(part.strip() not in (b"chunked", b"") for part in codings.split(b",")):
            return _error("unknown_coding", None, error)
        detail = "Transfer-Encoding must be `chunked`, once, and without Content-Length."
        return _error("invalid_framing", detail, error)
    if b"content-length" in names:
        return _error("invalid_framing", "Content-Length must be one decimal number.", error)
    if error.cause == "BadHttpMethod":
        return _error("method_not_supported", None, error)
    if error.cause in ("InvalidURLError", "IndexError"):
        return _error("invalid_target", None, error)
    return error


def _error(code: str, detail: str | None, error: GatewayError | None = None) -> GatewayError:
    return GatewayError(code, detail, cause="" if error is None else error.cause, close=True)
