"""How a response is framed: its head, and the end of its body (RFC 9112, 6).

What the client can understand decides: HTTP/1.0 knows no chunks and closes by default. A
response whose length is unknown is chunked, or ended by closing.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Final, Literal

from proxy.contract import Request, Response
from proxy.http1.forwarding import VIA_LINE, extended_via
from proxy.http1.status import STATUS_LINES

# From this size on, to copy a body behind its head costs more than to hand both over.
_LARGE: Final = 32 * 1024

BodyFraming = Literal["", "raw", "chunked"]
"""How a body that is to come is sent; empty where none is."""


class DateLine:
    """The Date field, rendered once a second."""

    __slots__ = ("_line", "_second", "_wall")

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._second = -1
        self._line = b""

    def __call__(self) -> bytes:
        """The field line for now, without its end."""
        second = int(self._wall())
        if second != self._second:
            self._second = second
            self._line = b"Date: " + formatdate(second, usegmt=True).encode("ascii")
        return self._line


def frame_response(
    request: Request, response: Response, keep_alive: bool, date: DateLine
) -> tuple[bytes, bytes, bool, BodyFraming]:
    """What to send at once: the head, with the body if it is here; a large one by itself. Then
    whether the client may send another request, and how a body that is to come is sent.
    """
    status = response.status
    headers = response.headers
    body = response.body
    framing: BodyFraming = ""
    via = VIA_LINE
    if "via" in headers.lines:
        lines, via = extended_via(headers)
        parts = list(lines)
    else:
        parts = list(headers.lines.values())
    parts.insert(0, STATUS_LINES[status])
    whole = large = b""
    if status == 204 or status < 200:
        pass
    elif request.method == "HEAD" or status == 304:
        # Zero is what a 304 made here says by default, and a claim about the representation.
        if response.length is not None and (response.length or status != 304):
            parts.append(b"Content-Length: %d" % response.length)
    elif isinstance(body, bytes):
        # Not `length`: a policy that replaced the body may have left the old one behind.
        parts.append(b"Content-Length: %d" % len(body))
        if len(body) < _LARGE:
            whole = body
        else:
            large = body
    elif response.length is not None:
        parts.append(b"Content-Length: %d" % response.length)
        framing = "raw"
    elif request.version == "1.1":
        parts.append(b"Transfer-Encoding: chunked")
        framing = "chunked"
    else:
        keep_alive = False
        framing = "raw"
    if "date" not in headers.lines:
        parts.append(date())
    parts.append(via)
    if status == 101:
        parts.append(b"Connection: Upgrade")
    elif not keep_alive:
        parts.append(b"Connection: close")
    elif request.version == "1.0":
        parts.append(b"Connection: keep-alive")
    parts.append(b"")
    parts.append(whole)
    return b"\r\n".join(parts), large, keep_alive, framing
