"""Connections of which the other end has closed its half.

May live here: whether they go on. Must not live here: what is still to be said on them.
"""

from __future__ import annotations

import asyncio


def half_open(transport: asyncio.Transport | None) -> bool:
    """Whether what the other end closed for its part may still be written to: what
    `eof_received` returns. TLS has no halves: the loop would warn of the wish, and close."""
    return transport is not None and not transport.is_closing() and transport.can_write_eof()
