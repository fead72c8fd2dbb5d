"""Connections of which one end closes its half, and the other goes on.

May live here: whether they go on. Must not live here: what is still to be said on them.
"""

from __future__ import annotations

import asyncio


def half_open(transport: asyncio.Transport | None) -> bool:
    """Whether what the other end closed for its part may still be written to: what
    `eof_received` returns. TLS has no halves: the loop would warn of the wish, and close."""
    return transport is not None and not transport.is_closing() and transport.can_write_eof()


def end_half(transport: asyncio.Transport) -> bool:
    """Tell the other end that nothing more is written, and read on. False when that can't be:
    by TLS, or since the other end is gone, which plain asyncio raises here."""
    if not transport.can_write_eof():
        return False
    try:
        transport.write_eof()
    except OSError:
        return False
    return True
