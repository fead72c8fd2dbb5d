"""What the user writes about the memory that all cache policies share."""

from __future__ import annotations

from pydantic import Field

from proxy.config.settings import Settings
from proxy.config.units import Size


class CacheMemory(Settings):
    """The memory of stored responses, shared by the `cache` policies of all routes."""

    memory: Size = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    """Most bytes of all stored responses together. Each worker has a memory of its own, of this
    size."""
    object: Size = Field(default=8 * 1024 * 1024, ge=1024)
    """Most bytes of one response; a larger one is passed on and not stored."""
