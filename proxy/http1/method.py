"""What a method says about a request that is sent twice. Pure."""

from __future__ import annotations

from typing import Final

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Being handled twice does what being handled once does (RFC 9110, 9.2.2)."""
