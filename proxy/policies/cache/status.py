"""Cache-Status: what became of a request in this cache (RFC 9211). Pure."""

from __future__ import annotations

from typing import Final

from proxy.http1.structured import Token, show_string

NAME: Final = b"Sidegate"
"""How this cache calls itself."""


def show_hit(ttl: int, detail: str = "") -> bytes:
    """A stored response was used; `ttl` seconds of freshness are left, possibly fewer than none.

    detail: a token more.
    """
    more = f"; detail={detail}".encode("ascii") if detail else b""
    return b"%b; hit; ttl=%d%b" % (NAME, ttl, more)


def show_forward(
    reason: str,
    status: int = 0,
    *,
    stored: bool = False,
    collapsed: bool = False,
    ttl: int | None = None,
    detail: str = "",
) -> bytes:
    """The request went to the service; `reason` is a `fwd` token of RFC 9211, 2.2.

    status: of the service's response when it isn't the one that is sent. detail: a word more.
    """
    text = f"Sidegate; fwd={reason}"
    if status:
        text += f"; fwd-status={status}"
    if stored:
        text += "; stored"
    if collapsed:
        text += "; collapsed"
    if ttl is not None:
        text += f"; ttl={ttl}"
    if detail:
        text += f"; detail={detail if isinstance(detail, Token) else show_string(detail)}"
    return text.encode("ascii")
